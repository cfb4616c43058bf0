// SPDX-License-Identifier: ISC
/* The virtual timer, also as what wakes an idle CPU, and the PL031 RTC. */
#include "arm64.h"

static volatile unsigned fired;
static volatile uint64_t fired_at;

static void
on_timer(void *arg)
{
	(void)arg;
	fired_at = clock_cycles();
	fired++;
	write_sysreg(cntv_ctl_el0, 0);
}

static void
arm(uint64_t at)
{
	write_sysreg(cntv_cval_el0, at);
	write_sysreg(cntv_ctl_el0, 1);
}

static void
test_timer(void)
{
	gic_attach(INTID_TIMER, true, on_timer, NULL);
	for (unsigned i = 1; i <= 5; i++) {
		uint64_t at = clock_cycles() + clock_hz() / 1000 * 2,
			 t = deadline_ms(2000);
		arm(at);
		irq_on();
		while (fired < i && !passed(t))
			cpu_relax();
		irq_off();
		if (fired != i || fired_at < at) {
			fail("timer", "%u of %u, %ld cycles late", fired, i,
			     (long)(fired_at - at));
			return;
		}
	}
	ok("timer");
	fired = 0;
	uint64_t at = clock_cycles() + clock_hz() / 1000 * 5;
	arm(at);
	while (!fired)
		irq_wait();
	check(fired_at >= at, "timer-wakes-wfi", "%ld cycles late",
	      (long)(fired_at - at));
}

static void
test_rtc(void)
{
	struct fdt_node node;
	unsigned long want = cmdline_num("epoch", 0);

	if (!check(fdt_find("arm,pl031", 0, &node), "rtc-in-fdt", "no pl031"))
		return;
	uint64_t base = fdt_reg(&node, 0);
	uint32_t now = mmio_r32(base);
	check(now + 2ul >= want && now < want + 60, "rtc-time", "want %lu got %u", want,
	      now);
	check(mmio_r32(base + 0xfe0) == 0x31 && mmio_r32(base + 0xff0) == 0x0d, "rtc-id",
	      "%x %x", mmio_r32(base + 0xfe0), mmio_r32(base + 0xff0));
	uint64_t t = deadline_ms(1500);
	while (mmio_r32(base) == now && !passed(t))
		cpu_relax();
	check(mmio_r32(base) != now, "rtc-runs", "%u for 1.5 s", now);
}

void
payload_main(void)
{
	test_timer();
	test_rtc();
}
