// SPDX-License-Identifier: ISC
/*
 * The keywords of vm.ini: the one place that lists them. The order is that of
 * --help and --dump-config. A test holds man/vm.ini.5 against this table.
 */
#include "config.h"
#include "timing.h"
#include "util.h"

#define FIELD(member) \
	.offset = offsetof(struct config, member), \
	.size = sizeof(((struct config *)NULL)->member)

/*
 * Sections such as [disk "root"] get .max and .offset/.size of their array
 * in struct config; the offsets of their keywords are within one element.
 */
static const struct config_section sections[] = {
	{ .name = "vm", .help = "The machine as a whole." },
	{ .name = "cpu", .help = "Virtual CPUs." },
	{ .name = "memory", .help = "Guest RAM." },
	{ .name = "boot", .help = "What the guest boots." },
	{ .name = "irqchip", .help = "The interrupt controller." },
	{ .name = "pci", .help = "The PCI host bridge." },
	{ .name = "serial", .help = "The serial port." },
	{
		.name = "disk",
		.max = CONFIG_DISK_MAX,
		.offset = offsetof(struct config, disk),
		.size = sizeof(struct config_disk),
		.help = "A virtio disk.",
	},
	{
		.name = "rng",
		.max = CONFIG_RNG_MAX,
		.offset = offsetof(struct config, rng),
		.size = sizeof(struct config_rng),
		.help = "A virtio entropy source.",
	},
	{
		.name = "net",
		.max = CONFIG_NET_MAX,
		.offset = offsetof(struct config, net),
		.size = sizeof(struct config_net),
		.help = "A virtio network device.",
	},
	{
		.name = "console",
		.max = CONFIG_CONSOLE_MAX,
		.offset = offsetof(struct config, console),
		.size = sizeof(struct config_console),
		.help = "A port of the virtio console.",
	},
};

static const char *const reboot_names[] = {
	[CONFIG_REBOOT_RESET] = "reset", [CONFIG_REBOOT_EXIT] = "exit", NULL
};

static const char *const irqchip_names[] = {
	[CONFIG_IRQCHIP_SPLIT] = "split", [CONFIG_IRQCHIP_KERNEL] = "kernel", NULL
};

static const char *const gic_names[] = {
	[CONFIG_GIC_AUTO] = "auto", [CONFIG_GIC_V2] = "2", [CONFIG_GIC_V3] = "3", NULL
};

static const char *const serial_names[] = { [CONFIG_SERIAL_AUTO] = "auto",
					    [CONFIG_SERIAL_STDIO] = "stdio",
					    [CONFIG_SERIAL_NONE] = "none",
					    NULL };

static const char *const console_type_names[] = {
	[CONFIG_CONSOLE_CONSOLE] = "console", [CONFIG_CONSOLE_PORT] = "port", NULL
};

static const char *const console_backend_names[] = {
	[CONFIG_CONSOLE_STDIO] = "stdio",   [CONFIG_CONSOLE_PTY] = "pty",
	[CONFIG_CONSOLE_SOCKET] = "socket", [CONFIG_CONSOLE_FILE] = "file",
	[CONFIG_CONSOLE_NULL] = "null",     NULL
};

static const char *const transport_names[] = { [CONFIG_TRANSPORT_PCI] = "pci",
					       [CONFIG_TRANSPORT_TRANSITIONAL] =
						       "transitional",
					       [CONFIG_TRANSPORT_MMIO] = "mmio",
					       [CONFIG_TRANSPORT_MMIO_LEGACY] =
						       "mmio-legacy",
					       NULL };

static const char *const cache_names[] = { [CONFIG_CACHE_WRITEBACK] = "writeback",
					   [CONFIG_CACHE_NONE] = "none",
					   [CONFIG_CACHE_UNSAFE] = "unsafe",
					   NULL };

#define DISK_FIELD(member) \
	.offset = offsetof(struct config_disk, member), \
	.size = sizeof(((struct config_disk *)NULL)->member)

static const char *const net_names[] = { [CONFIG_NET_USER] = "user",
					 [CONFIG_NET_TAP] = "tap",
					 [CONFIG_NET_STREAM] = "stream",
					 NULL };

#define NET_FIELD(member) \
	.offset = offsetof(struct config_net, member), \
	.size = sizeof(((struct config_net *)NULL)->member)

#define RNG_FIELD(member) \
	.offset = offsetof(struct config_rng, member), \
	.size = sizeof(((struct config_rng *)NULL)->member)

#define CONSOLE_FIELD(member) \
	.offset = offsetof(struct config_console, member), \
	.size = sizeof(((struct config_console *)NULL)->member)

/* Rows that several kinds of device have. */

#define TRANSPORT(section_, field_) \
	{ \
		.section = section_, .key = "transport", .type = KEYWORD_ENUM, \
		.arch = CONFIG_ARCH_ANY, .def = "pci", .names = transport_names, field_, \
		.help = "How the guest reaches the device.", \
	}

#define LIMIT(section_, key_, max_, field_, help_) \
	{ \
		.section = section_, .key = key_, .type = KEYWORD_SIZE, \
		.arch = CONFIG_ARCH_ANY, .def = "0", .max = max_, field_, .help = help_, \
	}

static const struct keyword keywords[] = {
	{
		.section = "vm",
		.key = "name",
		.type = KEYWORD_NAME,
		.arch = CONFIG_ARCH_ANY,
		.def = "vm",
		.max = 63,
		FIELD(vm.name),
		.help = "Name of the machine in messages.",
	},
	{
		.section = "vm",
		.key = "reboot",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ANY,
		.def = "reset",
		.names = reboot_names,
		FIELD(vm.reboot),
		.help = "What a reset by the guest does.",
	},
	{
		/* Local APIC IDs are 8 bits wide and 255 is the broadcast. */
		.section = "cpu",
		.key = "count",
		.type = KEYWORD_UINT,
		.arch = CONFIG_ARCH_ANY,
		.def = "1",
		.min = 1,
		.max = 255,
		FIELD(cpu.count),
		.help = "How many virtual CPUs.",
	},
	{
		/* 64K: a multiple of every page size that a host may have. */
		.section = "memory",
		.key = "size",
		.type = KEYWORD_SIZE,
		.arch = CONFIG_ARCH_ANY,
		.def = "256M",
		.min = MiB(16),
		.max = GiB(4096),
		.step = KiB(64),
		FIELD(memory.size),
		.help = "How much RAM the guest has.",
	},
	{
		.section = "boot",
		.key = "kernel",
		.type = KEYWORD_PATH,
		.arch = CONFIG_ARCH_ANY,
		.required = true,
		.max = 4095,
		FIELD(boot.kernel),
		.help = "The kernel image.",
	},
	{
		.section = "boot",
		.key = "initrd",
		.type = KEYWORD_PATH,
		.arch = CONFIG_ARCH_ANY,
		.max = 4095,
		FIELD(boot.initrd),
		.help = "The initial RAM disk.",
	},
	{
		/* COMMAND_LINE_SIZE of Linux is 2048 on both, with the NUL. */
		.section = "boot",
		.key = "cmdline",
		.type = KEYWORD_STRING,
		.arch = CONFIG_ARCH_ANY,
		.def = "",
		.max = 2047,
		FIELD(boot.cmdline),
		.help = "The kernel command line.",
	},
	{
		/* Measured: doc/adr/0011-copy-or-map.md. */
		.section = "boot",
		.key = "copy",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		.def_arm64 = "yes",
		FIELD(boot.copy),
		.help = "Copy the images into guest RAM instead of mapping them.",
	},
	{
		.section = "irqchip",
		.key = "mode",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_X86_64,
		.def = "split",
		.names = irqchip_names,
		FIELD(irqchip.mode),
		.help = "Where the I/O APIC is emulated.",
	},
	{
		.section = "irqchip",
		.key = "gic",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ARM64,
		.def = "auto",
		.names = gic_names,
		FIELD(irqchip.gic),
		.help = "Version of the generic interrupt controller.",
	},
	{
		/* doc/adr/0010-virtio-pci-pages.md */
		.section = "pci",
		.key = "pages",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "yes",
		FIELD(pci.pages),
		.help = "Let the guest read registers as memory, without exits.",
	},
	{
		.section = "pci",
		.key = "legacy-config",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_X86_64,
		.def = "no",
		FIELD(pci.legacy_config),
		.help = "Configuration space by the ports of old PCs, too.",
	},
	{
		.section = "serial",
		.key = "backend",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ANY,
		.def = "auto",
		.names = serial_names,
		FIELD(serial.backend),
		.help = "What the guest's serial port is connected to.",
	},
	{
		.section = "serial",
		.key = "ready",
		.type = KEYWORD_STRING,
		.arch = CONFIG_ARCH_ANY,
		.max = TIMING_READY_MAX,
		FIELD(serial.ready),
		.help = "The output that means that the guest is ready, for --timing.",
	},
	TRANSPORT("disk", DISK_FIELD(transport)),
	{
		.section = "disk",
		.key = "path",
		.type = KEYWORD_PATH,
		.arch = CONFIG_ARCH_ANY,
		.required = true,
		.max = 4095,
		DISK_FIELD(path),
		.help = "What is on the disk.",
	},
	{
		.section = "disk",
		.key = "readonly",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		DISK_FIELD(readonly),
		.help = "The guest cannot write to it.",
	},
	{
		.section = "disk",
		.key = "cache",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ANY,
		.def = "writeback",
		.names = cache_names,
		DISK_FIELD(cache),
		.help = "Where a write is when it is done.",
	},
	{
		.section = "disk",
		.key = "discard",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "yes",
		DISK_FIELD(discard),
		.help = "The guest may give space back.",
	},
	{
		.section = "disk",
		.key = "queues",
		.type = KEYWORD_UINT,
		.arch = CONFIG_ARCH_ANY,
		.def = "0",
		.max = 64,
		DISK_FIELD(queues),
		.help = "How many queues; 0 is one for each CPU.",
	},
	{
		.section = "disk",
		.key = "serial",
		.type = KEYWORD_NAME,
		.arch = CONFIG_ARCH_ANY,
		.max = 20,
		DISK_FIELD(serial),
		.help = "The serial number.",
	},
	LIMIT("disk", "rate", GiB(1024), DISK_FIELD(rate),
	      "Bytes a second at most; 0 is no limit."),
	LIMIT("disk", "burst", GiB(1), DISK_FIELD(burst),
	      "Bytes that may go at once; 0 is what the rate gives in a second."),
	LIMIT("disk", "rate-ops", GiB(1), DISK_FIELD(rate_ops),
	      "Requests a second at most; 0 is no limit."),
	LIMIT("disk", "burst-ops", GiB(1), DISK_FIELD(burst_ops),
	      "Requests that may go at once; 0 is what the rate gives in a second."),
	TRANSPORT("rng", RNG_FIELD(transport)),
	LIMIT("rng", "rate", GiB(1024), RNG_FIELD(rate),
	      "Bytes a second at most; 0 is no limit."),
	LIMIT("rng", "burst", GiB(1), RNG_FIELD(burst),
	      "Bytes that may come at once; 0 is what the rate gives in a second."),
	TRANSPORT("net", NET_FIELD(transport)),
	{
		.section = "net",
		.key = "backend",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ANY,
		.def = "user",
		.names = net_names,
		NET_FIELD(backend),
		.help = "What the network is connected to.",
	},
	{
		.section = "net",
		.key = "mac",
		.type = KEYWORD_STRING,
		.arch = CONFIG_ARCH_ANY,
		.max = 17,
		NET_FIELD(mac),
		.help = "The Ethernet address of the guest.",
	},
	{
		.section = "net",
		.key = "mtu",
		.type = KEYWORD_UINT,
		.arch = CONFIG_ARCH_ANY,
		.def = "0",
		.max = 65535,
		NET_FIELD(mtu),
		.help = "The largest packet that the guest is told to send; 0 is what "
			"the backend knows.",
	},
	{
		.section = "net",
		.key = "queues",
		.type = KEYWORD_UINT,
		.arch = CONFIG_ARCH_ANY,
		.def = "1",
		.min = 1,
		.max = 16,
		NET_FIELD(queues),
		.help = "Pairs of queues.",
	},
	{
		.section = "net",
		.key = "tap",
		.type = KEYWORD_NAME,
		.arch = CONFIG_ARCH_ANY,
		.max = 15,
		NET_FIELD(tap),
		.help = "The tap interface of the host.",
	},
	{
		.section = "net",
		.key = "tap-fd",
		.type = KEYWORD_UINT,
		.arch = CONFIG_ARCH_ANY,
		.def = "0",
		.max = 1048576,
		NET_FIELD(tap_fd),
		.help = "An open descriptor of a tap interface; 0 is none.",
	},
	{
		.section = "net",
		.key = "vhost",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		NET_FIELD(vhost),
		.help = "Have the host's kernel move the packets of a tap.",
	},
	{
		.section = "net",
		.key = "forward",
		.type = KEYWORD_STRING,
		.arch = CONFIG_ARCH_ANY,
		.max = 2047,
		NET_FIELD(forward),
		.help = "Ports of the host that lead to the guest.",
	},
	{
		.section = "net",
		.key = "restrict",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		NET_FIELD(restricted),
		.help = "Keep the guest from everything that is not forwarded.",
	},
	{
		.section = "net",
		.key = "host-loopback",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		NET_FIELD(host_loopback),
		.help = "Let the guest reach what listens on the host's loopback.",
	},
	{
		.section = "net",
		.key = "path",
		.type = KEYWORD_PATH,
		.arch = CONFIG_ARCH_ANY,
		.max = 107,
		NET_FIELD(path),
		.help = "The unix socket of a stream.",
	},
	{
		.section = "net",
		.key = "listen",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		NET_FIELD(listen),
		.help = "Make the socket and wait for a peer instead of connecting.",
	},
	{
		.section = "net",
		.key = "reconnect",
		.type = KEYWORD_UINT,
		.arch = CONFIG_ARCH_ANY,
		.def = "0",
		.max = 3600,
		NET_FIELD(reconnect),
		.help = "Connect again so many seconds after the peer went; 0 is never.",
	},
	LIMIT("net", "rate", GiB(1024), NET_FIELD(rate),
	      "Bytes a second at most; 0 is no limit."),
	LIMIT("net", "burst", GiB(1), NET_FIELD(burst),
	      "Bytes that may go at once; 0 is what the rate gives in a second."),
	LIMIT("net", "rate-ops", GiB(1), NET_FIELD(rate_ops),
	      "Packets a second at most; 0 is no limit."),
	LIMIT("net", "burst-ops", GiB(1), NET_FIELD(burst_ops),
	      "Packets that may go at once; 0 is what the rate gives in a second."),
	{
		.section = "net",
		.key = "rate-shared",
		.type = KEYWORD_BOOL,
		.arch = CONFIG_ARCH_ANY,
		.def = "no",
		NET_FIELD(rate_shared),
		.help = "One limit for both directions instead of one for each.",
	},
	TRANSPORT("console", CONSOLE_FIELD(transport)),
	{
		.section = "console",
		.key = "type",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ANY,
		.def = "console",
		.names = console_type_names,
		CONSOLE_FIELD(type),
		.help = "What it is in the guest.",
	},
	{
		.section = "console",
		.key = "backend",
		.type = KEYWORD_ENUM,
		.arch = CONFIG_ARCH_ANY,
		.def = "stdio",
		.names = console_backend_names,
		CONSOLE_FIELD(backend),
		.help = "What it is connected to on the host.",
	},
	{
		.section = "console",
		.key = "path",
		.type = KEYWORD_PATH,
		.arch = CONFIG_ARCH_ANY,
		.max = 4095,
		CONSOLE_FIELD(path),
		.help = "The socket, the file, or a link to the pty.",
	},
};

_Static_assert(ARRAY_SIZE(keywords) <= CONFIG_KEYWORDS_MAX, "raise CONFIG_KEYWORDS_MAX");
_Static_assert(ARRAY_SIZE(sections) <= CONFIG_SECTIONS_MAX, "raise CONFIG_SECTIONS_MAX");

const struct config_schema config_schema_vmm = {
	.sections = sections,
	.section_count = ARRAY_SIZE(sections),
	.keywords = keywords,
	.keyword_count = ARRAY_SIZE(keywords),
};
