// SPDX-License-Identifier: ISC
#include "attack.h"

struct rng victim, other;

static unsigned transport; /* ON_ */
static char only[32];
static const char *failure;
static bool fresh; /* the victim was started, without features, and nothing else */

void
attack_failed(const char *why)
{
	failure = why;
}

bool
attack_begin(void)
{
	static const char *const name[] = { "pci", "legacy", "mmio", "mmio-legacy" };
	char on[16] = "pci";

	(void)cmdline_get("transport", on, sizeof(on));
	(void)cmdline_get("only", only, sizeof(only));
	for (unsigned i = 0; i < ARRAY_SIZE(name); i++)
		if (!strcmp(name[i], on))
			transport = 1u << i;
	if (rng_find(&victim, on, 0) && rng_find(&other, on, 1) && rng_start(&other, 0))
		return true;
	fail("devices", "no two rngs on %s", on);
	return false;
}

static bool
needs_reset(void)
{
	return virtio_status(&victim.v) & VIRTIO_NEEDS_RESET;
}

static const char *
judge(const struct attack *a)
{
	uint64_t t = deadline_ms(5000);

	switch (a->want) {
	case BREAKS:
		while (!needs_reset())
			if (passed(t))
				return "the device does not need a reset";
		return NULL;
	case SURVIVES:
		return rng_read(&victim) ? NULL : "the device does not go on";
	case UNHARMED:
		while (victim.q.used->idx != victim.q.avail->idx)
			if (needs_reset() || passed(t))
				return "the device did not serve it";
		return NULL;
	case REFUSED:
		return virtio_status(&victim.v) & a->num ? "it was not refused" : NULL;
	}
	return NULL;
}

static const char *
attack_one(const struct attack *a)
{
	const char *what;

	if (!(fresh && a->features == 0) &&
	    !(rng_start(&victim, a->features) && rng_read(&victim)))
		return "the device did not work before it";
	failure = NULL;
	fresh = false;
	a->fn(a);
	if (failure)
		return failure;
	what = judge(a);
	if (what)
		return what;
	if (!rng_read(&other))
		return "the other device does not go on";
	fresh = rng_start(&victim, 0) && rng_read(&victim);
	return fresh ? NULL : "a reset does not help";
}

static bool
is_selected(const struct attack *a)
{
	size_t n = strlen(only);

	return (a->on & transport) && strlen(a->name) >= n && !memcmp(a->name, only, n);
}

void
attack_all(const struct attack *a)
{
	for (; a->name; a++) {
		if (!is_selected(a))
			continue;
		const char *what = attack_one(a);
		check(!what, a->name, "%s; status %x", what, virtio_status(&victim.v));
	}
}
