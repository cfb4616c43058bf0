/* SPDX-License-Identifier: ISC */
/* Descriptors of a tap interface: one that exists, one that is made, or somebody's. */
#include "net_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "err.h"
#include "net_back.h"

static int
open_tun(const char *name, struct err *e)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int rc = errno;

	if (fd >= 0)
		return fd;
	return err_set(e, rc, "tap '%s': /dev/net/tun: %s%s", name, strerror(rc),
		       rc == ENOENT || rc == ENODEV || rc == ENXIO
			       ? "; load the kernel module 'tun'"
			       : "");
}

static int
refuse_interface(const char *name, int rc, bool multi, struct err *e)
{
	switch (rc) {
	case EPERM:
		return err_set(e, rc,
			       "tap '%s': not permitted; as root, run: ip tuntap add %s "
			       "mode tap vnet_hdr user NAME",
			       name, name);
	case EBUSY:
		return err_set(e, rc, "tap '%s' is used by another process", name);
	case EINVAL:
		return err_set(e, rc, "tap '%s' is no tap interface%s", name,
			       multi ? " with multi_queue, which more than one queue need"
				     : "");
	default:
		return err_set(e, rc, "tap '%s': %s", name, strerror(rc));
	}
}

/*
 * One queue of the interface.  Whether a persistent interface has several is decided by
 * who made it, and one queue can be had of either kind.
 */
static int
attach(int fd, const char *name, bool multi, struct err *e)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (multi)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	if (ioctl(fd, TUNSETIFF, &ifr) == 0)
		return 0;
	int rc = errno;
	if (rc == EINVAL && !multi) {
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
		if (ioctl(fd, TUNSETIFF, &ifr) == 0)
			return 0;
	}
	return refuse_interface(name, rc, multi, e);
}

static int
open_queues(const struct net_tap_config *cfg, struct net_tap_fds *f, struct err *e)
{
	int rc = 0;

	if (strlen(cfg->name) >= IFNAMSIZ)
		return err_set(e, EINVAL, "tap '%s': a name has at most %d bytes",
			       cfg->name, IFNAMSIZ - 1);
	while (rc == 0 && f->n < cfg->pairs) {
		int fd = open_tun(cfg->name, e);

		if (fd < 0)
			return fd;
		f->fd[f->n++] = fd;
		rc = attach(fd, cfg->name, cfg->pairs > 1, e);
	}
	return rc;
}

/* The caller's may be closed, and a second machine may be made of it after a reset. */
static int
take_fd(int fd, struct net_tap_fds *f, struct err *e)
{
	const int need = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	struct ifreq ifr = { 0 };
	int mine;

	if (ioctl(fd, TUNGETIFF, &ifr))
		return err_set(e, EINVAL, "descriptor %d is no tap interface", fd);
	if ((ifr.ifr_flags & need) != need)
		return err_set(e, EINVAL,
			       "descriptor %d (tap '%.15s') was not opened with "
			       "IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
			       fd, ifr.ifr_name);
	mine = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (mine < 0)
		return err_set(e, errno, "descriptor %d: %s", fd, strerror(errno));
	f->fd[f->n++] = mine;
	if (fcntl(mine, F_SETFL, fcntl(mine, F_GETFL) | O_NONBLOCK))
		return err_set(e, errno, "descriptor %d: %s", fd, strerror(errno));
	return 0;
}

/* Of the interface in our network namespace; 0 if a descriptor came from another. */
static uint16_t
mtu_of(const char *name)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFMTU, &ifr))
		ifr.ifr_mtu = 0;
	close(fd);
	return ifr.ifr_mtu > 0 && ifr.ifr_mtu <= UINT16_MAX ? (uint16_t)ifr.ifr_mtu : 0;
}

static int
set_up(struct net_tap_fds *f, struct err *e)
{
	int len = NET_HDR_LEN;
	struct ifreq ifr = { 0 };

	for (unsigned i = 0; i < f->n; i++)
		if (ioctl(f->fd[i], TUNSETVNETHDRSZ, &len) ||
		    ioctl(f->fd[i], TUNGETIFF, &ifr))
			return err_set(e, errno, "tap '%s': %s", f->name,
				       strerror(errno));
	snprintf(f->name, sizeof(f->name), "%.15s", ifr.ifr_name);
	f->mtu = mtu_of(f->name);
	return 0;
}

void
net_tap_close(struct net_tap_fds *f)
{
	while (f->n > 0)
		close(f->fd[--f->n]);
}

int
net_tap_open(const struct net_tap_config *cfg, struct net_tap_fds *ret, struct err *e)
{
	struct net_tap_fds f = { .n = 0 };
	int rc = cfg->name ? open_queues(cfg, &f, e) : take_fd(cfg->fd, &f, e);

	if (rc == 0)
		rc = set_up(&f, e);
	if (rc) {
		net_tap_close(&f);
		return rc;
	}
	*ret = f;
	return 0;
}
