/* SPDX-License-Identifier: ISC */
/*
 * The configuration of one virtual machine: what vm.ini(5) and --set say.
 *
 * One const table of keywords (config_schema_vmm, src/config_table.c) drives
 * the parser, --set, --help, --dump-config and, through a test, the manual
 * page. To add a keyword: a field in struct config, a row in the table, an
 * entry in man/vm.ini.5. To add a kind of named section ([disk "root"]): a
 * bounded array of structs in struct config and a row in the section table.
 *
 * Nothing here opens a file (but config_load), prints, logs or looks at the
 * host; only main's thread calls it, before the machine exists.
 *
 *	config_init(&cfg, CONFIG_ARCH_NATIVE, NULL);
 *	config_load(&cfg, path, &err)		|| fail
 *	config_set(&cfg, argument, &err)	|| fail		for each --set
 *	config_check(&cfg, &err)		|| fail
 *	...
 *	config_free(&cfg);
 *
 * Functions that can fail return 0 or -errno and leave one line in err, such as
 *
 *	vm.ini:12: unknown key 'cmdlin' in [boot]; did you mean 'cmdline'?
 *
 * with EXIT_STATUS_CONFIG, or EXIT_STATUS_HOST when there is no memory.
 * After a failure only config_free() may be called.
 */
#ifndef VMM_CONFIG_H
#define VMM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct err;

#define CONFIG_FILE_MAX (64 * 1024) /* bytes in a file */
#define CONFIG_LINE_MAX 8192        /* bytes in a line */
#define CONFIG_NAME_MAX 32          /* bytes in [disk "name"] */
#define CONFIG_NAMED_MAX 32         /* named sections of all kinds */
#define CONFIG_DISK_MAX 16
#define CONFIG_RNG_MAX 8
#define CONFIG_NET_MAX 8
#define CONFIG_CONSOLE_MAX 8
#define CONFIG_SECTIONS_MAX 32 /* rows of the section table */
#define CONFIG_KEYWORDS_MAX 96 /* rows of the keyword table */

/* Host architecture that the configuration is for; also bits of a mask. */
enum config_arch {
	CONFIG_ARCH_X86_64 = 1,
	CONFIG_ARCH_ARM64 = 2,
	CONFIG_ARCH_ANY = CONFIG_ARCH_X86_64 | CONFIG_ARCH_ARM64,
#if defined(__x86_64__)
	CONFIG_ARCH_NATIVE = CONFIG_ARCH_X86_64,
#elif defined(__aarch64__)
	CONFIG_ARCH_NATIVE = CONFIG_ARCH_ARM64,
#endif
};

enum config_reboot {
	CONFIG_REBOOT_RESET, /* same process, the guest boots again */
	CONFIG_REBOOT_EXIT,  /* exit with EXIT_STATUS_GUEST_RESET */
};

enum config_irqchip {
	CONFIG_IRQCHIP_SPLIT,  /* our IOAPIC, KVM's local APICs */
	CONFIG_IRQCHIP_KERNEL, /* all in KVM */
};

enum config_gic {
	CONFIG_GIC_AUTO, /* the newest that the host offers */
	CONFIG_GIC_V2,
	CONFIG_GIC_V3,
};

enum config_serial {
	CONFIG_SERIAL_AUTO,  /* stdio, unless a console has it: config_serial() */
	CONFIG_SERIAL_STDIO, /* the terminal or whatever stdin/stdout are */
	CONFIG_SERIAL_NONE,  /* output discarded, no input */
};

enum config_transport {
	CONFIG_TRANSPORT_PCI,
	CONFIG_TRANSPORT_TRANSITIONAL, /* PCI with the legacy interface beside it */
	CONFIG_TRANSPORT_MMIO,
	CONFIG_TRANSPORT_MMIO_LEGACY, /* version 1 */
};

enum config_cache {
	CONFIG_CACHE_WRITEBACK, /* the host's page cache, until the guest flushes */
	CONFIG_CACHE_NONE,      /* around the host's page cache */
	CONFIG_CACHE_UNSAFE,    /* the host's page cache, and flushes do nothing */
};

/* [disk "name"] */
struct config_disk {
	enum config_transport transport;
	const char *path; /* a file, a block device, or a URI */
	bool readonly;
	enum config_cache cache;
	bool discard;
	unsigned int queues;  /* 0: one for each CPU */
	const char *serial;   /* or NULL: the name */
	uint64_t rate, burst; /* bytes a second, bytes; 0: none, a second's worth */
	uint64_t rate_ops, burst_ops; /* the same for requests */
};

/* [rng "name"]. Each kind of device begins with its transport: config_transport(). */
struct config_rng {
	enum config_transport transport;
	uint64_t rate;  /* bytes a second; 0: no limit */
	uint64_t burst; /* bytes; 0: a second's worth */
};

enum config_net_backend {
	CONFIG_NET_USER,   /* libslirp: needs no privilege */
	CONFIG_NET_TAP,    /* an interface of the host */
	CONFIG_NET_STREAM, /* a socket, as passt and QEMU speak it */
};

/* [net "name"] */
struct config_net {
	enum config_transport transport;
	enum config_net_backend backend;
	const char *mac; /* or NULL: config_net_mac() */
	unsigned int mtu;
	unsigned int queues;    /* pairs */
	const char *tap;        /* name of the interface, or NULL */
	unsigned int tap_fd;    /* 0: none */
	bool vhost;             /* tap: packets are the kernel's to move */
	const char *forward;    /* user: net_forward_parse(), or NULL */
	bool restricted;        /* user */
	bool host_loopback;     /* user */
	const char *path;       /* stream: of the socket, or NULL */
	bool listen;            /* stream */
	unsigned int reconnect; /* stream: seconds; 0: never */
	uint64_t rate, burst;
	uint64_t rate_ops, burst_ops;
	bool rate_shared; /* one limit for both directions */
};

enum config_console_type {
	CONFIG_CONSOLE_CONSOLE, /* hvc0, hvc1 */
	CONFIG_CONSOLE_PORT,    /* /dev/virtio-ports/NAME */
};

enum config_console_backend {
	CONFIG_CONSOLE_STDIO,
	CONFIG_CONSOLE_PTY,
	CONFIG_CONSOLE_SOCKET,
	CONFIG_CONSOLE_FILE,
	CONFIG_CONSOLE_NULL,
};

/* [console "name"]: all with one transport are ports of one device. */
struct config_console {
	enum config_transport transport;
	enum config_console_type type;
	enum config_console_backend backend;
	const char *path; /* never NULL for socket and file after config_check() */
};

/* A named section in the order of the file: the order of attachment. */
struct config_named {
	const struct config_section *section;
	char name[CONFIG_NAME_MAX + 1];
	unsigned int index; /* into the array of its kind */
	int line;           /* of its header; 0: created by --set */
};

/* Strings live as long as the config; NULL means "not set". */
struct config {
	struct {
		const char *name;
		enum config_reboot reboot;
	} vm;
	struct {
		unsigned int count;
	} cpu;
	struct {
		uint64_t size; /* bytes */
	} memory;
	struct {
		const char *kernel;  /* never NULL after config_check() */
		const char *initrd;  /* or NULL */
		const char *cmdline; /* never NULL, may be empty */
		bool copy;           /* read images, do not map them */
	} boot;
	struct {
		enum config_irqchip mode; /* x86_64 */
		enum config_gic gic;      /* arm64 */
	} irqchip;
	struct {
		bool pages;         /* registers are memory that the guest reads */
		bool legacy_config; /* ports CF8h and CFCh, x86_64 */
	} pci;
	struct {
		enum config_serial backend;
		char *ready; /* or NULL */
	} serial;

	struct config_disk disk[CONFIG_DISK_MAX];
	struct config_rng rng[CONFIG_RNG_MAX];
	struct config_net net[CONFIG_NET_MAX];
	struct config_console console[CONFIG_CONSOLE_MAX];

	/* Named sections of all kinds, in file order. */
	struct config_named named[CONFIG_NAMED_MAX];
	unsigned int named_count;

	/* The rest is for config*.c only. */
	const struct config_schema *schema;
	enum config_arch arch;
	char *file;
	int section_line[CONFIG_SECTIONS_MAX]; /* plain sections; 0: absent */
	/* Row 0: plain sections; row 1 + n: named[n].. */
	int origin[1 + CONFIG_NAMED_MAX][CONFIG_KEYWORDS_MAX];
};

/*
 * The table.
 */
enum keyword_type {
	KEYWORD_STRING, /* const char *: the rest of the line */
	KEYWORD_NAME,   /* const char *: letters, digits, '.', '_', '-' */
	KEYWORD_PATH,   /* const char *: relative to the file's directory, or a URI */
	KEYWORD_SIZE,   /* uint64_t: bytes, or with K, M, G, T */
	KEYWORD_UINT,   /* unsigned int */
	KEYWORD_BOOL,   /* bool: yes/no/on/off/true/false */
	KEYWORD_ENUM,   /* enum: index into names */
};

struct keyword {
	const char *section;
	const char *key;
	enum keyword_type type;
	enum config_arch arch; /* where it means something */
	bool required;
	const char *def;          /* as one would write it; NULL: not set */
	const char *def_arm64;    /* NULL: the same on arm64 */
	uint64_t min, max;        /* value; for strings max is the length, bytes */
	uint64_t step;            /* the value is a multiple of it; 0: any */
	const char *const *names; /* of an enum, ends with NULL */
	size_t offset, size;      /* of the field in config or section struct */
	const char *help;         /* one sentence, used in --help and vm.ini(5) */
};

struct config_section {
	const char *name;
	unsigned int max;    /* 0: plain; else how many [name "x"] */
	size_t offset, size; /* of the array of max structs, if named */
	const char *help;
};

struct config_schema {
	const struct config_section *sections;
	size_t section_count;
	const struct keyword *keywords;
	size_t keyword_count;
};

extern const struct config_schema config_schema_vmm;

/*
 * Start with the defaults of the schema (NULL: config_schema_vmm). A schema
 * other than vmm's describes a struct that begins with a struct config; that
 * is how tests try tables that do not exist yet.
 */
void config_init(struct config *cfg, enum config_arch arch,
		 const struct config_schema *schema);

/* Free what cfg owns; cfg may be initialised again. */
void config_free(struct config *cfg);

/*
 * Read a file's text. Pure: file is the name for messages, and its directory
 * part is put before relative paths. Once for each cfg.
 * -EINVAL: bad configuration; -ENOMEM.
 */
int config_parse(struct config *cfg, const char *text, size_t len, const char *file,
		 struct err *err);

/* Read the file itself (at most CONFIG_FILE_MAX bytes) and parse it. */
int config_load(struct config *cfg, const char *file, struct err *err);

/*
 * One --set argument: "section.key=value", "section.name.key=value". Comes
 * after the file and wins over it, the last one over the earlier ones. An
 * empty value restores the default. Relative paths stay as they are, that is
 * relative to the current directory. A named section that does not exist is
 * created behind the others.
 */
int config_set(struct config *cfg, const char *assignment, struct err *err);

/*
 * What can be judged without a host: mandatory keywords, relations between
 * keywords. Ranges were checked when the values were set.
 */
int config_check(const struct config *cfg, struct err *err);

/* How the guest reaches the device of a named section. */
enum config_transport config_transport(const struct config *cfg,
				       const struct config_named *named);

/* What the serial port is connected to: never CONFIG_SERIAL_AUTO. */
enum config_serial config_serial(const struct config *cfg);

/* The section of console[index]. */
const struct config_named *config_console_named(const struct config *cfg,
						unsigned int index);

/*
 * The address of a network device: as configured, or one that stays the same as long as
 * the names of the machine and of the section do, from the locally administered range.
 * After config_check().
 */
void config_net_mac(const struct config *cfg, const struct config_named *named,
		    uint8_t ret[6]);

/*
 * Where a field's value came from, for messages about it:
 * config_where(cfg, &cfg->boot.kernel, buf, sizeof(buf)) gives "vm.ini:9",
 * "--set boot.kernel" or "default of boot.kernel". Returns buf.
 */
const char *config_where(const struct config *cfg, const void *field, char *buf,
			 size_t len);

/*
 * Write the effective values as a file that parses to the same values, with
 * a comment before each that says where it came from. Relative paths are put
 * behind cwd, so that the result may be stored anywhere (NULL: left alone).
 */
void config_dump(const struct config *cfg, const char *cwd, FILE *out);

/* Write the keyword part of --help. */
void config_help(enum config_arch arch, const struct config_schema *schema, FILE *out);

#endif
