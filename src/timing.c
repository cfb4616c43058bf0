/* SPDX-License-Identifier: ISC */
/* Time stamps of a launch. See timing.h. */
#include "timing.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spin.h"

static const char *const stage_name[TIMING_STAGES] = {
	[TIMING_EXEC] = "exec",
	[TIMING_MAIN] = "main",
	[TIMING_CONFIG] = "config",
	[TIMING_VM] = "vm_created",
	[TIMING_LOADED] = "loaded",
	[TIMING_RUN] = "first_run",
	[TIMING_CONSOLE] = "first_console_byte",
	[TIMING_READY] = "guest_ready",
	[TIMING_STOPPED] = "guest_stopped",
	[TIMING_EXIT] = "exit",
};

void
timing_mark(struct timing *t, enum timing_stage stage)
{
	uint64_t none = 0;

	if (atomic_load_explicit(&t->ns[stage], memory_order_relaxed) == 0)
		atomic_compare_exchange_strong(&t->ns[stage], &none, spin_now_ns());
}

static const char main_env[] = "VMM_MAIN_NS";

void
timing_export(const struct timing *t)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "%" PRIu64, atomic_load(&t->ns[TIMING_MAIN]));
	setenv(main_env, buf, 1);
}

void
timing_import(struct timing *t)
{
	const char *s = getenv(main_env);
	uint64_t ns = s ? strtoull(s, NULL, 10) : 0;

	if (!s)
		return;
	if (ns <= spin_now_ns())
		atomic_store(&t->ns[TIMING_MAIN], ns);
	unsetenv(main_env);
}

void
timing_watch_init(struct timing_watch *w, const char *text)
{
	*w = (struct timing_watch){ .text = text, .len = text ? strlen(text) : 0 };
	assert(w->len <= TIMING_READY_MAX);
}

bool
timing_watch_feed(struct timing_watch *w, const uint8_t *buf, size_t len)
{
	/* A byte at a time is slow, and nothing beside the exit that brought it. */
	for (size_t i = 0; i < len && w->len > 0; i++) {
		memmove(w->last, w->last + 1, w->len - 1);
		w->last[w->len - 1] = (char)buf[i];
		if (memcmp(w->last, w->text, w->len) == 0) {
			w->len = 0; /* found; stop looking */
			return true;
		}
	}
	return false;
}

/* When the kernel started this process, in CLOCK_MONOTONIC; proc(5) field 22 has
 * it in clock ticks, so it is good to 1 / sysconf(_SC_CLK_TCK) s only. */
static uint64_t
exec_ns(void)
{
	char buf[1024], *p;
	unsigned long long ticks = 0;
	FILE *f = fopen("/proc/self/stat", "re");
	size_t n = f ? fread(buf, 1, sizeof(buf) - 1, f) : 0;

	if (f)
		fclose(f);
	buf[n] = '\0';
	p = strrchr(buf, ')'); /* the name may hold blanks */
	if (!p || sscanf(p + 1,
			 " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
			 "%*d %*d %*d %*d %*d %llu",
			 &ticks) != 1)
		return 0;
	return ticks * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
}

int
timing_write(const struct timing *t, const char *path)
{
	uint64_t zero = atomic_load(&t->ns[TIMING_MAIN]);
	uint64_t exec = exec_ns();
	FILE *out = fopen(path, "we");
	int rc;

	if (!out)
		return -errno;
	fputc('{', out);
	/* Microseconds since main(); exec is before that and coarse. */
	fprintf(out, "\"unit\": \"us since main\", \"exec\": %" PRId64,
		exec ? ((int64_t)exec - (int64_t)zero) / 1000 : 0);
	for (unsigned i = TIMING_MAIN; i < TIMING_STAGES; i++) {
		uint64_t ns = atomic_load(&t->ns[i]);

		if (ns == 0)
			fprintf(out, ", \"%s\": null", stage_name[i]);
		else
			fprintf(out, ", \"%s\": %.1f", stage_name[i],
				(double)(ns - zero) / 1000.);
	}
	rc = fputs("}\n", out) < 0 ? -EIO : 0;
	if (fclose(out) != 0)
		rc = -errno;
	return rc;
}
