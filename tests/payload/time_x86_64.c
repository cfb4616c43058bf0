// SPDX-License-Identifier: ISC
/*
 * Clocks and timers: RTC, LAPIC timer by TSC deadline and by count-down, kvm-clock.
 * epoch= on the command line is the host's time when the guest was launched.
 */
#include "x86_64.h"

enum { VECTOR = 0x61, MSR_TSC_DEADLINE = 0x6e0 };

static uint8_t
rtc(unsigned reg)
{
	outb(0x70, (uint8_t)reg);
	return inb(0x71);
}

static unsigned
bcd(unsigned v)
{
	return (v >> 4) * 10 + (v & 15);
}

/* Days since 1970 (Gregorian). */
static unsigned long
days(unsigned y, unsigned m, unsigned d)
{
	y -= m <= 2;
	unsigned era = y / 400, yoe = y % 400,
		 doy = (153 * (m + (m > 2 ? -3u : 9)) + 2) / 5 + d - 1;

	return era * 146097ul + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static unsigned long
rtc_epoch(void)
{
	unsigned v[7];
	static const uint8_t reg[] = { 0, 2, 4, 7, 8, 9, 0x32 };

	for (unsigned i = 0; i < 7; i++)
		v[i] = rtc(reg[i]);
	if (!(rtc(0x0b) & 4))
		for (unsigned i = 0; i < 7; i++)
			v[i] = bcd(v[i]);
	unsigned century = v[6] >= 19 && v[6] <= 21 ? v[6] : 20;
	return days(century * 100 + v[5], v[4], v[3]) * 86400 + v[2] * 3600 + v[1] * 60 +
	       v[0];
}

static void
test_rtc(void)
{
	unsigned long want = cmdline_num("epoch", 0), got = rtc_epoch();
	unsigned a = rtc(0x0a), b = rtc(0x0b), d = rtc(0x0d);

	if (got != rtc_epoch()) /* the second changed between two registers */
		got = rtc_epoch();
	check(!(a & 0x80) || !(rtc(0x0a) & 0x80), "rtc-not-always-updating", "a %x", a);
	check(d & 0x80, "rtc-valid", "d %x", d);
	check(b & 2, "rtc-24h", "b %x", b);
	if (!want)
		skip("rtc-time", "no epoch= on the command line");
	else
		check(got + 2 >= want && got < want + 60, "rtc-time", "want %lu got %lu",
		      want, got);
}

static void
test_rtc_runs(void)
{
	unsigned s = rtc(0);
	uint64_t t = deadline_ms(1500);

	while (rtc(0) == s && !passed(t))
		cpu_relax();
	check(rtc(0) != s, "rtc-runs", "%x for 1.5 s", s);
}

static volatile unsigned fired;
static volatile uint64_t fired_at;

static void
on_timer(struct trap_frame *f, void *arg)
{
	(void)f;
	(void)arg;
	fired_at = clock_cycles();
	fired++;
	lapic_eoi();
}

static void
wait_timer(unsigned n)
{
	uint64_t t = deadline_ms(1000);

	irq_on();
	while (fired < n && !passed(t))
		cpu_relax();
	irq_off();
}

static void
test_tsc_deadline(void)
{
	fired = 0;
	lapic_write(LAPIC_LVT_TIMER, 2 << 17 | VECTOR);
	for (unsigned i = 1; i <= 5; i++) {
		uint64_t at = clock_cycles() + clock_hz() / 1000 * 2;
		wrmsr(MSR_TSC_DEADLINE, at);
		wait_timer(i);
		if (fired != i || fired_at < at || fired_at > at + clock_hz()) {
			fail("lapic-tsc-deadline", "%u of %u, %ld cycles late", fired, i,
			     (long)(fired_at - at));
			return;
		}
	}
	/* disarmed by 0 */
	wrmsr(MSR_TSC_DEADLINE, clock_cycles() + clock_hz() / 1000);
	wrmsr(MSR_TSC_DEADLINE, 0);
	uint64_t t = deadline_ms(5);
	irq_on();
	while (!passed(t))
		cpu_relax();
	irq_off();
	check(fired == 5, "lapic-tsc-deadline", "fired after it was disarmed");
}

/* A halted CPU is woken by it: the way that an idle guest waits. */
static void
test_halt(void)
{
	fired = 0;
	uint64_t at = clock_cycles() + clock_hz() / 1000 * 5;
	wrmsr(MSR_TSC_DEADLINE, at);
	while (!fired)
		irq_wait();
	check(fired == 1 && fired_at >= at, "lapic-timer-wakes-hlt",
	      "%u, %ld cycles late", fired, (long)(fired_at - at));
}

static void
test_periodic(void)
{
	fired = 0;
	lapic_write(LAPIC_TIMER_DIV, 0x0b);
	lapic_write(LAPIC_LVT_TIMER, 1 << 17 | VECTOR);
	lapic_write(LAPIC_TIMER_INIT, 2000000); /* 2 ms: KVM's bus runs at 1 GHz */
	wait_timer(5);
	lapic_write(LAPIC_TIMER_INIT, 0);
	lapic_write(LAPIC_LVT_TIMER, IOAPIC_MASKED);
	check(fired >= 5, "lapic-periodic", "%u", fired);
}

static void
test_kvmclock(void)
{
	static volatile struct {
		uint32_t version, pad;
		uint64_t tsc, system;
		uint32_t mul;
		int8_t shift;
		uint8_t flags, pad2[2];
	} pv __attribute__((aligned(64)));
	static volatile struct {
		uint32_t version, sec, nsec;
	} wall __attribute__((aligned(64)));
	struct cpuid sig = cpuid(0x40000000, 0), feat = cpuid(0x40000001, 0);

	if (!check(sig.b == 0x4b4d564b && sig.a >= 0x40000001, "kvm-signature", "%x %x",
		   sig.a, sig.b) ||
	    !check(feat.a & 1 << 3, "kvm-clock-offered", "features %x", feat.a))
		return;
	wrmsr(0x4b564d01, (uint64_t)&pv | 1);
	wrmsr(0x4b564d00, (uint64_t)&wall);
	check(pv.mul && !(pv.version & 1), "kvm-clock", "version %u mul %u", pv.version,
	      pv.mul);
	check(wall.sec > 1500000000 && !(wall.version & 1), "kvm-wall-clock", "%u",
	      wall.sec);
	check(feat.a & 1u << 24, "kvm-clock-stable", "features %x", feat.a);
	wrmsr(0x4b564d01, 0);
}

void
payload_main(void)
{
	test_rtc();
	test_kvmclock();
	lapic_enable();
	trap_attach(VECTOR, on_timer, NULL);
	if (check(cpuid(1, 0).c & 1 << 24, "lapic-tsc-deadline-offered",
		  "CPUID says no")) {
		test_tsc_deadline();
		test_halt();
	}
	test_periodic();
	test_rtc_runs();
}
