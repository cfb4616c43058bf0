// SPDX-License-Identifier: ISC
/* What [net "name"] sections need beyond the table: addresses, and keys that go together. */
#include <errno.h>
#include <string.h>

#include "config_priv.h"
#include "err.h"
#include "exit_status.h"
#include "net_user.h"

enum { MAC_LEN = 6, MTU_MIN = 68 /* RFC 791 */ };

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Six bytes in hex with colons between them, of one station. */
static bool
parse_mac(const char *s, uint8_t ret[MAC_LEN])
{
	for (unsigned i = 0; i < MAC_LEN; i++, s += 3) {
		int high = hex_digit(s[0]);
		int low = high < 0 ? -1 : hex_digit(s[1]);

		if (low < 0 || s[2] != (i < MAC_LEN - 1 ? ':' : '\0'))
			return false;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return !(ret[0] & 1);
}

/* FNV-1a. */
static uint64_t
hash(uint64_t h, const char *s)
{
	do {
		h ^= (uint8_t)*s;
		h *= 0x100000001b3;
	} while (*s++ != '\0');
	return h;
}

void
config_net_mac(const struct config *cfg, const struct config_named *named,
	       uint8_t ret[MAC_LEN])
{
	const struct config_net *cn = &cfg->net[named->index];

	if (cn->mac) {
		parse_mac(cn->mac, ret);
		return;
	}
	uint64_t h = hash(hash(0xcbf29ce484222325, cfg->vm.name), named->name);
	/* The last byte of the name has mixed with the low bits only once. */
	h ^= h >> 29;
	for (unsigned i = 0; i < MAC_LEN; i++)
		ret[i] = (uint8_t)(h >> (8 * i));
	/* Locally administered, of one station. */
	ret[0] = (uint8_t)((ret[0] & 0xfc) | 2);
}

static int
check_tap(const struct config *cfg, const struct config_named *named,
	  const struct config_net *cn, struct err *err)
{
	char where[512];

	if (cn->backend != CONFIG_NET_TAP) {
		const void *field = cn->tap ? (const void *)&cn->tap : &cn->tap_fd;

		if (!cn->tap && !cn->tap_fd)
			return 0;
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [net \"%s\"] has a tap; add 'backend = tap'",
				      config_where(cfg, field, where, sizeof(where)),
				      named->name);
	}
	if (!cn->tap == !cn->tap_fd)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [net \"%s\"] needs either 'tap = NAME' or "
				      "'tap-fd = NUMBER'",
				      config_where(cfg, &cn->backend, where,
						   sizeof(where)),
				      named->name);
	if (cn->tap_fd && cn->queues > 1)
		return err_set_status(
			err, EXIT_STATUS_CONFIG, EINVAL,
			"%s: a descriptor is one queue, not %u; use 'tap = NAME'",
			config_where(cfg, &cn->queues, where, sizeof(where)), cn->queues);
	return 0;
}

/* What has a limit passes through this process, and with vhost no packet does. */
static int
check_vhost(const struct config *cfg, const struct config_named *named,
	    const struct config_net *cn, struct err *err)
{
	char where[512];

	if (!cn->vhost)
		return 0;
	if (cn->backend != CONFIG_NET_TAP)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [net \"%s\"] has vhost; add 'backend = tap'",
				      config_where(cfg, &cn->vhost, where, sizeof(where)),
				      named->name);
	if (cn->rate || cn->rate_ops)
		return err_set_status(
			err, EXIT_STATUS_CONFIG, EINVAL,
			"%s: [net \"%s\"] has vhost, which knows no limit; remove one "
			"of them",
			config_where(cfg, cn->rate ? &cn->rate : &cn->rate_ops, where,
				     sizeof(where)),
			named->name);
	return 0;
}

static int
check_user(const struct config *cfg, const struct config_named *named,
	   const struct config_net *cn, struct err *err)
{
	struct net_forward f[NET_FORWARD_MAX];
	char where[512], why[200];

	if (cn->backend != CONFIG_NET_USER) {
		if (!cn->forward)
			return 0;
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [net \"%s\"] has a forward; only 'backend = "
				      "user' does that",
				      config_where(cfg, &cn->forward, where,
						   sizeof(where)),
				      named->name);
	}
	if (cn->mtu > NET_USER_MTU)
		return err_set_status(
			err, EXIT_STATUS_CONFIG, EINVAL,
			"%s: user networking has packets of up to %d bytes, "
			"not %u",
			config_where(cfg, &cn->mtu, where, sizeof(where)), NET_USER_MTU,
			cn->mtu);
	if (!cn->forward || net_forward_parse(cn->forward, f, why, sizeof(why)) > 0)
		return 0;
	return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL, "%s: %s",
			      config_where(cfg, &cn->forward, where, sizeof(where)), why);
}

static int
check_stream(const struct config *cfg, const struct config_named *named,
	     const struct config_net *cn, struct err *err)
{
	char where[512];

	if (cn->backend == CONFIG_NET_STREAM && !cn->path)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [net \"%s\"] needs 'path = SOCKET'",
				      config_where(cfg, &cn->backend, where,
						   sizeof(where)),
				      named->name);
	if (cn->backend != CONFIG_NET_STREAM && cn->path)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: [net \"%s\"] has a socket; add 'backend = "
				      "stream'",
				      config_where(cfg, &cn->path, where, sizeof(where)),
				      named->name);
	return 0;
}

static int
check_net(const struct config *cfg, const struct config_named *named, struct err *err)
{
	const struct config_net *cn = &cfg->net[named->index];
	uint8_t mac[MAC_LEN];
	char where[512];

	if (cn->mac && !parse_mac(cn->mac, mac))
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: bad address '%s'; write six bytes such as "
				      "02:00:00:00:00:01, the first one even",
				      config_where(cfg, &cn->mac, where, sizeof(where)),
				      cn->mac);
	if (cn->mtu > 0 && cn->mtu < MTU_MIN)
		return err_set_status(err, EXIT_STATUS_CONFIG, EINVAL,
				      "%s: %u is out of range; valid is 0 or %d to 65535",
				      config_where(cfg, &cn->mtu, where, sizeof(where)),
				      cn->mtu, MTU_MIN);
	int rc = check_tap(cfg, named, cn, err);

	if (rc == 0)
		rc = check_vhost(cfg, named, cn, err);
	if (rc == 0)
		rc = check_user(cfg, named, cn, err);
	return rc ? rc : check_stream(cfg, named, cn, err);
}

int
config_net_check(const struct config *cfg, struct err *err)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < cfg->named_count; i++)
		if (cfg->schema == &config_schema_vmm &&
		    strcmp(cfg->named[i].section->name, "net") == 0)
			rc = check_net(cfg, &cfg->named[i], err);
	return rc;
}
