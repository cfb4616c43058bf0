/* SPDX-License-Identifier: ISC */
/* [net "name"]: the model and its back. A back is a row of a table. */
#include <errno.h>

#include "config.h"
#include "err.h"
#include "machine_arch.h"
#include "net.h"
#include "net_back.h"
#include "util.h"
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
	};

	return net_tap_new(m->host.reactor, &tc, ret, e);
}

static int (*const open_back[])(struct machine *m, const struct config_named *named,
				struct net_back **ret, struct err *e) = {
	[CONFIG_NET_TAP] = open_tap,
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

	if (cn->backend >= ARRAY_SIZE(open_back) || !open_back[cn->backend])
		return err_set(e, EOPNOTSUPP,
			       "[net \"%s\"]: this backend is not built in", named->name);
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
