/* SPDX-License-Identifier: ISC */
/* What all backs have in common, and the one that is not there. See chr.h. */
#include "chr.h"

void
chr_release(struct chr *c)
{
	c->front = NULL;
	c->dev = NULL;
	c->back->set_room(c, 0);
}

void
chr_free(struct chr *c)
{
	if (c && c->back->free)
		c->back->free(c);
}

static size_t
null_write(struct chr *c, const uint8_t *buf, size_t len)
{
	(void)c;
	(void)buf;
	return len;
}

static void
null_set_room(struct chr *c, size_t room)
{
	(void)c;
	(void)room;
}

void
chr_null_init(struct chr *c)
{
	static const struct chr_back_ops ops = {
		.write = null_write,
		.set_room = null_set_room,
	};

	*c = (struct chr){ .back = &ops };
}
