// SPDX-License-Identifier: ISC
/* Reports, command line, and what the compiler wants of a C library. */
#include <stdarg.h>

#include "payload.h"

static volatile int say_lock;

void *
memcpy(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

void *
memset(void *dst, int c, size_t n)
{
	uint8_t *d = dst;

	for (; n >= 8 && ((uint64_t)d & 7) == 0; n -= 8, d += 8)
		*(uint64_t *)(void *)d = (uint8_t)c * 0x0101010101010101ull;
	while (n--)
		*d++ = (uint8_t)c;
	return dst;
}

int
memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t
strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int
strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (uint8_t)*a - (uint8_t)*b;
}

/* Nothing else is there: tables and trampoline are below the image or at the end of RAM. */
void *
ram_alloc(size_t len, size_t align)
{
	extern uint8_t image_end[];
	static uint64_t next;

	/* files are mapped in pages: what is behind the image in its last one is not zero */
	if (!next)
		next = ((uint64_t)image_end + 4095) & ~4095ull;
	next = (next + align - 1) & ~(uint64_t)(align - 1);
	next += len;
	return (void *)(next - len);
}

/* ---- output ---- */

struct out {
	char buf[200];
	size_t n;
};

static void
put(struct out *o, char c)
{
	if (o->n < sizeof(o->buf))
		o->buf[o->n++] = c;
}

static void
put_num(struct out *o, uint64_t v, unsigned base, unsigned width, char pad)
{
	char tmp[24];
	unsigned n = 0;

	do {
		tmp[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	for (; width > n; width--)
		put(o, pad);
	while (n)
		put(o, tmp[--n]);
}

/* %s %c %d %u %x and %p with l, ll, z, 0 and a width */
static void
format(struct out *o, const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(o, *fmt);
			continue;
		}
		char pad = *++fmt == '0' ? '0' : ' ';
		unsigned width = 0, l = 0;
		for (; *fmt >= '0' && *fmt <= '9'; fmt++)
			width = width * 10 + (unsigned)(*fmt - '0');
		for (; *fmt == 'l' || *fmt == 'z'; fmt++)
			l++;
		uint64_t v = 0;
		const char *s;
		switch (*fmt) {
		case 's':
			for (s = va_arg(ap, const char *); *s; s++)
				put(o, *s);
			break;
		case 'c':
			put(o, (char)va_arg(ap, int));
			break;
		case 'd':
			v = l ? (uint64_t)va_arg(ap, long) : (uint64_t)va_arg(ap, int);
			if ((int64_t)v < 0) {
				put(o, '-');
				v = -v;
			}
			put_num(o, v, 10, width, pad);
			break;
		case 'u':
		case 'x':
			v = l ? va_arg(ap, unsigned long) : va_arg(ap, unsigned);
			put_num(o, v, *fmt == 'u' ? 10 : 16, width, pad);
			break;
		case 'p':
			put_num(o, (uint64_t)va_arg(ap, void *), 16, 0, pad);
			break;
		default:
			put(o, *fmt);
		}
	}
}

static void
flush(struct out *o)
{
	put(o, '\n');
	while (__atomic_exchange_n(&say_lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	uart_puts(o->buf, o->n);
	__atomic_store_n(&say_lock, 0, __ATOMIC_RELEASE);
}

static void
put_str(struct out *o, const char *s)
{
	for (; *s; s++)
		put(o, *s);
}

void
say(const char *fmt, ...)
{
	struct out o;
	va_list ap;

	o.n = 0;
	va_start(ap, fmt);
	format(&o, fmt, ap);
	va_end(ap);
	flush(&o);
}

void
ok(const char *name)
{
	say("ok %s", name);
}

void
skip(const char *name, const char *why)
{
	say("skip %s %s", name, why);
}

static void
vfail(const char *name, const char *fmt, va_list ap)
{
	struct out o;

	o.n = 0;
	put_str(&o, "FAIL ");
	put_str(&o, name);
	put(&o, ' ');
	format(&o, fmt, ap);
	flush(&o);
}

void
fail(const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfail(name, fmt, ap);
	va_end(ap);
}

bool
check(bool good, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (good) {
		ok(name);
		return true;
	}
	va_start(ap, fmt);
	vfail(name, fmt, ap);
	va_end(ap);
	return false;
}

void
done(void)
{
	say("done");
	power_off();
}

/* ---- UART ---- */

/* As a driver does: one look at LSR, then as much as the FIFO takes. */
void
uart_puts(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (i % 16 == 0)
			while (!(uart_read(UART_LSR) & UART_LSR_THRE))
				cpu_relax();
		uart_write(UART_THR, (uint8_t)s[i]);
	}
}

int
uart_getc(unsigned ms)
{
	uint64_t t = deadline_ms(ms);

	/* ready to receive */
	uart_write(UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	do {
		if (uart_read(UART_LSR) & UART_LSR_DR)
			return uart_read(UART_RBR);
	} while (!passed(t));
	return -1;
}

/* ---- time ---- */

uint64_t
clock_ns(void)
{
	uint64_t c = clock_cycles(), hz = clock_hz();

	return c / hz * 1000000000 + c % hz * 1000000000 / hz;
}

uint64_t
deadline_ms(unsigned ms)
{
	return clock_cycles() + clock_hz() / 1000 * ms;
}

bool
passed(uint64_t deadline)
{
	return (int64_t)(clock_cycles() - deadline) >= 0;
}

/* ---- command line ---- */

bool
cmdline_get(const char *key, char *buf, size_t len)
{
	size_t klen = strlen(key);

	for (const char *p = cmdline(); *p;) {
		while (*p == ' ')
			p++;
		const char *end = p;
		while (*end && *end != ' ')
			end++;
		if ((size_t)(end - p) > klen && p[klen] == '=' && !memcmp(p, key, klen)) {
			size_t n = 0;
			for (p += klen + 1; p < end && n + 1 < len;)
				buf[n++] = *p++;
			buf[n] = 0;
			return true;
		}
		p = end;
	}
	return false;
}

unsigned long
cmdline_num(const char *key, unsigned long def)
{
	char buf[24];
	unsigned long v = 0;

	if (!cmdline_get(key, buf, sizeof(buf)))
		return def;
	for (const char *p = buf; *p >= '0' && *p <= '9'; p++)
		v = v * 10 + (unsigned long)(*p - '0');
	return v;
}

unsigned
cpu_start_all(unsigned n, void (*fn)(void *), void *arg)
{
	unsigned started = 0;

	for (unsigned i = 1; i < n; i++)
		started += cpu_start(i, fn, arg);
	return started;
}
