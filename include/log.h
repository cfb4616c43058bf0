/* SPDX-License-Identifier: ISC */
/*
 * Messages for the person who runs the VM, on stderr, one line each, prefixed
 * "vmm: ".  How to log is a property of the process and one of the two pieces of
 * mutable file-scope state in the program (the other is in console.c).
 * While the console owns the terminal, lines end in CR LF.  Any thread.
 *
 * What a guest can provoke goes through log_guest(), which lets LOG_GUEST_BURST
 * lines through for each struct ratelimit and then at most one every second,
 * with a count of those left out.
 */
#ifndef VMM_LOG_H
#define VMM_LOG_H

#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
void log_set_crlf(int on);
void log_msg(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* A text of several lines, each on a line of its own. */
void log_lines(enum log_level level, const char *text);

#define log_error(...) log_msg(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_msg(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)

enum { LOG_GUEST_BURST = 5 };

/* All zero is a valid start. One for each device; reactor thread. */
struct ratelimit {
	uint64_t next_ns; /* CLOCK_MONOTONIC, when the next line may go */
	uint32_t said;
	uint32_t dropped;
};

void log_guest(struct ratelimit *rl, const char *device, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
