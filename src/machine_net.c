/* SPDX-License-Identifier: ISC */
/* [net "name"]: the model and its back. A back is a row of a table. */
#include <errno.h>

#include "config.h"
#include "err.h"
#include "machine_arch.h"
#include "net.h"
#include "net_back.h"
#include "net_stream.h"
#include "net_user.h"
#include "virtio_dev.h"

static int
open_tap(struct machine *m, const struct config_named *named, struct net_back **ret,
	 struct err *e)
{
	const struct config_net *cn = &m->cfg->net[named->index];
	const struct net_tap_config tc = {
		.name = cn->tap,
		.fd = (int)cn->tap_fd,
		.pairs = cn->queues,
		.vhost = cn->vhost,
		.mem = &m->memory,
	};

	return net_tap_new(m->host.reactor, &tc, ret, e);
}

static int
open_user(struct machine *m, const struct config_named *named, struct net_back **ret,
	  struct err *e)
{
	const struct config_net *cn = &m->cfg->net[named->index];
	struct net_forward forward[NET_FORWARD_MAX];
	struct net_user_config uc = {
		.name = named->name,
		.restricted = cn->restricted,
		.host_loopback = cn->host_loopback,
		.forward = forward,
	};
	char why[200], where[512];
	int n = cn->forward ? net_forward_parse(cn->forward, forward, why, sizeof(why))
			    : 0;
	struct err inner = { 0 };

	uc.nforward = n > 0 ? (unsigned)n : 0; /* config_check() has tried it */

	int rc = net_user_new(m->host.reactor, &uc, ret, &inner);

	if (rc)
		return err_set(e, -rc, "%s: %s",
			       config_where(m->cfg,
					    cn->forward ? (const void *)&cn->forward
							: &cn->backend,
					    where, sizeof(where)),
			       inner.text);
	return 0;
}

static int
open_stream(struct machine *m, const struct config_named *named, struct net_back **ret,
	    struct err *e)
{
	const struct config_net *cn = &m->cfg->net[named->index];
	const struct net_stream_config sc = {
		.name = named->name,
		.path = cn->path,
		.listen = cn->listen,
		.reconnect_s = cn->reconnect,
	};
	struct err inner = { 0 };
	char where[512];
	int rc = net_stream_new(m->host.reactor, &sc, ret, &inner);

	if (rc)
		return err_set(e, -rc, "%s: %s",
			       config_where(m->cfg, &cn->path, where, sizeof(where)),
			       inner.text);
	return 0;
}

static int (*const open_back[])(struct machine *m, const struct config_named *named,
				struct net_back **ret, struct err *e) = {
	[CONFIG_NET_USER] = open_user,
	[CONFIG_NET_TAP] = open_tap,
	[CONFIG_NET_STREAM] = open_stream,
};

int
machine_net_make(struct machine *m, struct machine_virtio *mv,
		 const struct config_named *named, struct err *e)
{
	const struct config_net *cn = &m->cfg->net[named->index];
	struct net_config nc = {
		.name = named->name,
		.mtu = (uint16_t)cn->mtu,
		.limit = {
			.rate = cn->rate,
			.burst = cn->burst,
			.rate_ops = cn->rate_ops,
			.burst_ops = cn->burst_ops,
		},
		.limit_shared = cn->rate_shared,
	};
	struct net_back *back;
	struct net *net;
	int rc;

	rc = open_back[cn->backend](m, named, &back, e);
	if (rc)
		return rc;
	config_net_mac(m->cfg, named, nc.mac);
	rc = net_new(&m->memory, m->host.reactor, back, &nc, &net);
	if (rc) {
		back->ops->free(back);
		return rc;
	}
	mv->model = net;
	mv->dev = net_device(net);
	return 0;
}

void
machine_net_free(void *model)
{
	net_free(model);
}
