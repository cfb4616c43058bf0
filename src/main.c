/* SPDX-License-Identifier: ISC */
/* vmm(1): options, signals, and what each way of ending means to the shell. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chr.h"
#include "config.h"
#include "console.h"
#include "err.h"
#include "exit_status.h"
#include "full.h"
#include "log.h"
#include "machine.h"
#include "reactor.h"
#include "timing.h"
#include "util.h"
#include "version.h"

struct options {
	const char *config;
	const char *timing_path;
	const char *stats_path;
	bool check;
	bool dump;
};

/* What the callbacks of the host side need. */
struct vmm {
	struct options opt;
	struct config cfg;
	struct timing timing;
	struct timing_watch ready;
	struct reactor *reactor;
	struct console *console;
	struct chr null; /* serial.backend = none */
	struct machine_consoles consoles;
	struct machine *machine; /* NULL between two */
	struct reactor_signal sig[3];
	int signum; /* that ended us; 0: none */
	unsigned terms;
};

/* ---- options ---- */

enum { OPT_CHECK = 256, OPT_DUMP, OPT_TIMING, OPT_STATS, OPT_VERSION };

static const char short_option[] = ":c:s:vh"; /* ':': we say what is missing */

static const struct option long_option[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "set", required_argument, NULL, 's' },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "dump-config", no_argument, NULL, OPT_DUMP },
	{ "timing", required_argument, NULL, OPT_TIMING },
	{ "stats", required_argument, NULL, OPT_STATS },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static void
help(void)
{
	puts("usage: vmm --config FILE [--set SECTION.KEY=VALUE]... [--check | "
	     "--dump-config]\n"
	     "           [--timing FILE] [--stats FILE] [-v]\n"
	     "\n"
	     "  -c, --config FILE   the virtual machine, see vm.ini(5)\n"
	     "  -s, --set S.K=V     set one keyword; wins over the file; may be "
	     "repeated\n"
	     "      --check         parse, try everything short of running, say what is "
	     "wrong\n"
	     "      --dump-config   print the effective configuration and where it came "
	     "from\n"
	     "      --timing FILE   write when each stage of the launch was reached, as "
	     "JSON\n"
	     "      --stats FILE    write what the guest made us do, as JSON\n"
	     "  -v, --verbose       say more; twice: debug\n"
	     "  -h, --help          this text\n"
	     "      --version       the version\n"
	     "\n"
	     "Console: Ctrl-A x quits, Ctrl-A ? lists the keys.\n"
	     "SIGTERM presses the power button, a second one kills.\n"
	     "\n"
	     "Keywords:\n");
	config_help(CONFIG_ARCH_NATIVE, NULL, stdout);
}

static int
report(const struct err *e)
{
	log_error("%s", e->text);
	return e->status ? e->status : EXIT_STATUS_HOST;
}

/* The last -v wins nothing: each raises the level by one. */
static void
be_verbose(unsigned *level)
{
	if (*level < LOG_DEBUG)
		log_set_level((enum log_level)++ * level);
}

/*
 * --set comes after the file wherever it stands, so the file is read first: the
 * options are walked twice.  Returns -1 to go on, or the exit status.
 */
static int
find_config(int argc, char **argv, struct vmm *v)
{
	unsigned level = LOG_WARN;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, short_option, long_option, NULL)) != -1) {
		switch (c) {
		case 'c':
			if (v->opt.config) {
				log_error("--config is given twice");
				return EXIT_STATUS_CONFIG;
			}
			v->opt.config = optarg;
			break;
		case 's':
			break;
		case OPT_CHECK:
			v->opt.check = true;
			break;
		case OPT_DUMP:
			v->opt.dump = true;
			break;
		case OPT_TIMING:
			v->opt.timing_path = optarg;
			break;
		case OPT_STATS:
			v->opt.stats_path = optarg;
			break;
		case 'v':
			be_verbose(&level);
			break;
		case 'h':
			help();
			return EXIT_SUCCESS;
		case OPT_VERSION:
			puts("vmm " VMM_VERSION);
			return EXIT_SUCCESS;
		case ':':
			log_error("%s wants an argument; see vmm --help",
				  argv[optind - 1]);
			return EXIT_STATUS_CONFIG;
		default:
			log_error("%s: unknown option; see vmm --help", argv[optind - 1]);
			return EXIT_STATUS_CONFIG;
		}
	}
	if (optind < argc) {
		log_error("'%s' is no option; see vmm --help", argv[optind]);
		return EXIT_STATUS_CONFIG;
	}
	if (!v->opt.config) {
		log_error("no --config FILE; see vmm --help");
		return EXIT_STATUS_CONFIG;
	}
	return -1;
}

static int
read_config(int argc, char **argv, struct vmm *v, struct err *e)
{
	int c, rc;

	config_init(&v->cfg, CONFIG_ARCH_NATIVE, NULL);
	rc = config_load(&v->cfg, v->opt.config, e);
	optind = 1;
	while (rc == 0 &&
	       (c = getopt_long(argc, argv, short_option, long_option, NULL)) != -1)
		if (c == 's')
			rc = config_set(&v->cfg, optarg, e);
	if (rc == 0)
		rc = config_check(&v->cfg, e);
	timing_mark(&v->timing, TIMING_CONFIG);
	return rc;
}

/* ---- what comes from outside while the guest runs ---- */

static void
die_by(struct vmm *v, int signum)
{
	v->signum = signum;
	machine_end(v->machine, MACHINE_KILLED);
}

static void
on_signal(struct reactor_signal *s, int signum)
{
	struct vmm *v = container_of(s, struct vmm,
				     sig[signum == SIGTERM  ? 0
					 : signum == SIGINT ? 1
							    : 2]);

	/* SIGTERM asks the guest first; who sends it twice means it. */
	if (signum == SIGTERM && v->terms++ == 0)
		machine_press_button(v->machine);
	else
		die_by(v, signum);
}

static void
on_quit(void *arg)
{
	struct vmm *v = arg;

	machine_end(v->machine, MACHINE_QUIT);
}

static void
on_output(void *arg, const uint8_t *buf, size_t len)
{
	struct vmm *v = arg;

	timing_mark(&v->timing, TIMING_CONSOLE);
	if (timing_watch_feed(&v->ready, buf, len))
		timing_mark(&v->timing, TIMING_READY);
}

/* Whatever kills us, the terminal is given back first. */
static void
on_fatal_signal(int signum)
{
	console_restore();
	raise(signum); /* SA_RESETHAND: what it would have done without us */
}

/*
 * A file that is mapped into guest memory may be truncated by its owner.  A vCPU
 * that touches the hole gets EFAULT from KVM_RUN; a device model that does comes
 * here.
 */
static void
on_bus_error(int signum)
{
	static const char text[] = "vmm: a file mapped into guest memory was truncated; "
				   "boot.copy = yes reads it instead\n";

	(void)signum;
	console_restore();
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(EXIT_STATUS_HOST);
}

static void
start_signals(struct vmm *v)
{
	static const int signum[] = { SIGTERM, SIGINT, SIGHUP };
	static const int fatal[] = { SIGABRT, SIGSEGV, SIGILL, SIGFPE, SIGQUIT };
	struct sigaction sa = { .sa_handler = on_fatal_signal,
				.sa_flags = (int)SA_RESETHAND };

	for (unsigned i = 0; isatty(STDIN_FILENO) && i < ARRAY_SIZE(fatal); i++)
		sigaction(fatal[i], &sa, NULL);
	sa = (struct sigaction){ .sa_handler = on_bus_error };
	sigaction(SIGBUS, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a limit of the host is a write error */
	for (unsigned i = 0; i < ARRAY_SIZE(signum); i++) {
		v->sig[i].cb = on_signal;
		reactor_signal_start(v->reactor, &v->sig[i], signum[i]);
	}
}

static int
open_host(struct vmm *v, struct err *e)
{
	static const struct console_ops ops = {
		.quit = on_quit,
		.output = on_output,
	};
	int rc = reactor_new(&v->reactor);

	if (rc)
		return err_set(e, -rc, "event loop: %s", strerror(-rc));
	timing_watch_init(&v->ready, v->cfg.serial.ready);
	start_signals(v);
	rc = console_new(v->reactor, STDIN_FILENO, STDOUT_FILENO, &ops, v, &v->console);
	if (rc)
		return err_set(e, -rc, "console: %s", strerror(-rc));
	v->consoles.stdio = console_chr(v->console);
	return machine_consoles_open(&v->cfg, v->reactor, &v->consoles, e);
}

/* ---- running ---- */

static int
status_of(const struct vmm *v, enum machine_end end)
{
	switch (end) {
	case MACHINE_POWEROFF:
		return EXIT_STATUS_POWEROFF;
	case MACHINE_RESET:
		return EXIT_STATUS_GUEST_RESET;
	case MACHINE_CRASH:
		return EXIT_STATUS_GUEST_CRASH;
	case MACHINE_HOST_ERROR:
		return EXIT_STATUS_HOST;
	case MACHINE_QUIT:
		return EXIT_STATUS_QUIT;
	case MACHINE_KILLED:
		return EXIT_STATUS_SIGNAL + v->signum;
	case MACHINE_RUNNING:
		break;
	}
	return EXIT_STATUS_INTERNAL;
}

static void
write_stats(const struct vmm *v)
{
	FILE *out;

	if (!v->opt.stats_path)
		return;
	out = fopen(v->opt.stats_path, "we");
	if (!out) {
		log_warn("--stats %s: %s", v->opt.stats_path, strerror(errno));
		return;
	}
	machine_write_stats(v->machine, out);
	if (fclose(out) != 0)
		log_warn("--stats %s: %s", v->opt.stats_path, strerror(errno));
}

/* One life of the guest, from making the machine to its end. */
static int
run_once(struct vmm *v, enum machine_end *end, struct err *e)
{
	struct machine_host host = {
		.reactor = v->reactor,
		.serial = config_serial(&v->cfg) == CONFIG_SERIAL_STDIO
				  ? v->consoles.stdio
				  : &v->null,
		.consoles = &v->consoles,
		.timing = &v->timing,
	};
	int rc = machine_new(&v->cfg, &host, &v->machine, e);

	if (rc)
		return rc;
	*end = machine_run(v->machine);
	write_stats(v);
	console_flush(v->console);
	if (*end == MACHINE_CRASH || *end == MACHINE_HOST_ERROR) {
		console_restore();
		log_error("the guest '%s' ended:", v->cfg.vm.name);
		log_lines(LOG_ERROR, machine_end_text(v->machine));
	}
	return 0;
}

static int
run(struct vmm *v)
{
	struct err e = { 0 };
	enum machine_end end = MACHINE_RUNNING;

	if (open_host(v, &e))
		return report(&e);
	for (;;) {
		if (run_once(v, &end, &e)) {
			console_restore();
			return report(&e);
		}
		if (end != MACHINE_RESET || v->cfg.vm.reboot == CONFIG_REBOOT_EXIT)
			return status_of(v, end);
		machine_free(v->machine);
		v->machine = NULL;
		v->terms = 0;
	}
}

/* Everything but running: the host is asked for all that a launch would ask. */
static int
check(struct vmm *v)
{
	struct machine_host host = {
		.timing = &v->timing,
		.serial = &v->null,
		.consoles = &v->consoles,
	};
	struct err e = { 0 };

	int rc = reactor_new(&v->reactor);

	if (rc) {
		err_set(&e, -rc, "event loop: %s", strerror(-rc));
		return report(&e);
	}
	host.reactor = v->reactor;
	if (machine_consoles_open(&v->cfg, v->reactor, &v->consoles, &e))
		return report(&e);
	if (machine_new(&v->cfg, &host, &v->machine, &e))
		return report(&e);
	printf("%s: would start\n", v->opt.config);
	return EXIT_SUCCESS;
}

static int
dump(const struct vmm *v)
{
	char cwd[PATH_MAX];

	config_dump(&v->cfg, getcwd(cwd, sizeof(cwd)), stdout);
	return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
	static struct vmm v;
	struct err e = { 0 };
	int status;

	timing_import(&v.timing);
	timing_mark(&v.timing, TIMING_MAIN);
	/* vCPU threads hardly allocate: no arena of their own. */
	mallopt(M_ARENA_MAX, 1);
	chr_null_init(&v.null);
	v.consoles = (struct machine_consoles){ .stdio = &v.null, .null = &v.null };
	status = find_config(argc, argv, &v);
	if (status >= 0)
		return status;
	if (read_config(argc, argv, &v, &e))
		return report(&e);
	if (!v.opt.dump && full_enter(&v.cfg, &v.timing, argv, &e))
		return report(&e);
	if (v.opt.dump)
		status = dump(&v);
	else if (v.opt.check)
		status = check(&v);
	else
		status = run(&v);

	machine_consoles_close(&v.consoles);
	console_restore();
	timing_mark(&v.timing, TIMING_EXIT);
	if (v.opt.timing_path) {
		int rc = timing_write(&v.timing, v.opt.timing_path);

		if (rc)
			log_warn("--timing %s: %s", v.opt.timing_path, strerror(-rc));
	}
	/* Machine, reactor and console are left to the kernel: tearing a VM down in
	 * order takes longer than letting the process end. */
	fflush(stdout);
	_exit(status);
}
