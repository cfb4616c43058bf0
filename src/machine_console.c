/* SPDX-License-Identifier: ISC */
/*
 * The consoles of the configuration: their backs, which outlive a reset of the guest so
 * that a client stays connected, and the device that all with one transport share.
 */
#include <errno.h>
#include <string.h>

#include "chr.h"
#include "chr_back.h"
#include "err.h"
#include "exit_status.h"
#include "machine_arch.h"
#include "virtio_dev.h"

/* ---- the host's side ---- */

static int
open_back(const struct config_console *con, const char *name,
	  const struct machine_consoles *all, struct reactor *r, struct chr **ret)
{
	switch (con->backend) {
	case CONFIG_CONSOLE_PTY:
		return chr_pty_new(r, name, con->path, ret);
	case CONFIG_CONSOLE_SOCKET:
		return chr_socket_new(r, name, con->path, ret);
	case CONFIG_CONSOLE_FILE:
		return chr_file_new(r, name, con->path, ret);
	case CONFIG_CONSOLE_STDIO:
		*ret = all->stdio;
		return 0;
	case CONFIG_CONSOLE_NULL:
		break;
	}
	*ret = all->null;
	return 0;
}

static int
refuse(const struct config *cfg, const struct config_named *named, int rc, struct err *e)
{
	const struct config_console *con = &cfg->console[named->index];
	const void *field = con->path ? (const void *)&con->path : &con->backend;
	char where[512];

	return err_set_status(e, EXIT_STATUS_CONFIG, -rc, "%s: console '%s'%s%s: %s",
			      config_where(cfg, field, where, sizeof(where)), named->name,
			      con->path ? " at " : "", con->path ? con->path : "",
			      strerror(-rc));
}

int
machine_consoles_open(const struct config *cfg, struct reactor *r,
		      struct machine_consoles *all, struct err *e)
{
	for (unsigned i = 0; i < cfg->named_count; i++) {
		const struct config_named *named = &cfg->named[i];

		if (strcmp(named->section->name, "console") != 0)
			continue;
		int rc = open_back(&cfg->console[named->index], named->name, all, r,
				   &all->chr[named->index]);
		if (rc) {
			machine_consoles_close(all);
			return refuse(cfg, named, rc, e);
		}
	}
	return 0;
}

void
machine_consoles_close(struct machine_consoles *all)
{
	for (unsigned i = 0; i < CONFIG_CONSOLE_MAX; i++) {
		if (!all->chr[i])
			continue;
		chr_release(all->chr[i]);
		chr_free(all->chr[i]);
		all->chr[i] = NULL;
	}
}

/* ---- the guest's side ---- */

/* Is it on this device? */
static bool
is_port_of(const struct config *cfg, const struct config_named *named,
	   enum config_transport transport)
{
	return strcmp(named->section->name, "console") == 0 &&
	       cfg->console[named->index].transport == transport;
}

bool
machine_console_is_first(const struct config *cfg, const struct config_named *named)
{
	enum config_transport transport = config_transport(cfg, named);

	for (const struct config_named *n = cfg->named; n < named; n++)
		if (is_port_of(cfg, n, transport))
			return false;
	return true;
}

int
machine_console_make(struct machine *m, struct machine_virtio *mv,
		     const struct config_named *named, struct err *e)
{
	struct virtio_console_port port[CONFIG_CONSOLE_MAX];
	struct virtio_console_config vcc = { .name = named->name, .port = port };
	const struct config *cfg = m->cfg;
	struct virtio_console *vc;

	(void)e;
	for (unsigned i = 0; i < cfg->named_count; i++) {
		const struct config_named *n = &cfg->named[i];

		if (!is_port_of(cfg, n, mv->transport))
			continue;
		port[vcc.nport++] = (struct virtio_console_port){
			.name = n->name,
			.console = cfg->console[n->index].type == CONFIG_CONSOLE_CONSOLE,
			.chr = m->host.consoles->chr[n->index],
		};
	}
	int rc = virtio_console_new(&m->memory, m->host.reactor, &vcc, &vc);
	if (rc)
		return rc;
	mv->model = vc;
	mv->dev = virtio_console_device(vc);
	return 0;
}

void
machine_console_free(void *model)
{
	virtio_console_free(model);
}
