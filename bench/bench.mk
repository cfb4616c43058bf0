# SPDX-License-Identifier: ISC
# `make bench` (FIRECRACKER=path to measure beside; kvmtool cannot start the guests, which
# are ELF files with a PVH entry), `make bench-idle`, `make bench-io`, `make bench-boot`,
# `make bench-exits` (LKVM=, LKVM_ARM64=).  bench/README.md says what they measure.

BENCH_GUESTS := $(PAYLOAD_DIR)/bench/launch.elf $(PAYLOAD_DIR)/bench/exit.elf $(PAYLOAD_DIR)/bench/irq.elf
IO_GUESTS := $(PAYLOAD_DIR)/bench/blk.elf $(PAYLOAD_DIR)/bench/net.elf

$(PAYLOAD_DIR)/bench/%.c.o: bench/guest/%.c $(PAYLOAD_DIR)/flags
	@mkdir -p $(@D)
	@echo "  PCC     $<"
	$(Q)$(PAYLOAD_CC) $(PAYLOAD_CFLAGS) -MMD -MP -c -o $@ $<
$(PAYLOAD_DIR)/bench/%.S.o: bench/guest/%.S $(PAYLOAD_DIR)/flags
	@mkdir -p $(@D)
	@echo "  PAS     $<"
	$(Q)$(PAYLOAD_CC) $(PAYLOAD_CFLAGS) -c -o $@ $<
$(PAYLOAD_DIR)/bench/launch.elf: $(PAYLOAD_DIR)/bench/pad.S.o
$(PAYLOAD_DIR)/bench/%.elf: $(PAYLOAD_DIR)/bench/%.c.o $(PAYLOAD_LIB_OBJ) tests/payload/lib/$(ARCH).ld
	@echo "  PLD     $@"
	$(Q)$(PAYLOAD_CC) $(PAYLOAD_LDFLAGS) -o $@ $(filter %.o,$^) -lgcc

$(B)/bench/%: $(B)/bench/%.o
	@echo "  LD      $@"
	$(Q)$(CC) $(STATIC) $(ALL_LDFLAGS) -o $@ $<

# `make build/x86_64/bench/disk_ways`: by hand, for doc/adr/0014-disk-files.md.
$(B)/bench/disk_ways: $(B)/bench/disk_ways.o $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(STATIC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# Plain programs, to measure devices against.
$(B)/bench/disk_host: $(B)/bench/disk_host.o
	@echo "  LD      $@"
	$(Q)$(CC) $(STATIC) $(ALL_LDFLAGS) -o $@ $< -luring

.SECONDARY: $(B)/bench/floor.o $(B)/bench/launch.o $(B)/bench/disk_host.o $(B)/bench/tap_host.o $(B)/bench/busy.o \
	$(BENCH_GUESTS:.elf=.c.o) $(IO_GUESTS:.elf=.c.o) $(PAYLOAD_DIR)/bench/pad.S.o
.PHONY: bench bench-boot bench-idle bench-programs
bench-programs: $(B)/bench/floor $(B)/bench/launch $(BENCH_GUESTS)
bench: $(B)/vmm bench-programs
	$(Q)bench/report --vmm $(B)/vmm --programs $(B)/bench --guests $(PAYLOAD_DIR)/bench \
		$(if $(FIRECRACKER),--firecracker $(FIRECRACKER)) $(BENCH_ARGS)
	$(Q)bench/idle --vmm $(B)/vmm --guest $(PAYLOAD_DIR)/bench/launch.elf
	$(Q)$(MAKE) --no-print-directory bench-io BENCH_ARGS=
bench-idle: all $(PAYLOAD_DIR)/bench/launch.elf
	$(Q)bench/idle --vmm $(B)/vmm --guest $(PAYLOAD_DIR)/bench/launch.elf

# Disk and network beside a plain program: build/bench/io.json and an SVG for each.  A row
# again: BENCH_ARGS="--match 'O_DIRECT read'".  `make bench-plots` puts the SVGs of the last
# run where the README shows them.
.PHONY: bench-io bench-plots
bench-io: $(B)/vmm $(B)/bench/disk_host $(B)/bench/tap_host $(B)/bench/busy $(IO_GUESTS)
	$(Q)bench/io --vmm $(B)/vmm --programs $(B)/bench --guests $(PAYLOAD_DIR)/bench $(BENCH_ARGS)
bench-plots:
	$(Q)mkdir -p doc/plots
	$(Q)cp -v $(wildcard build/bench/*.svg build/bench/*/*.svg) doc/plots/

bench-boot:
	$(Q)$(MAKE) --no-print-directory ARCH=x86_64 build/x86_64/vmm build/x86_64/bench/launch
	$(Q)$(MAKE) --no-print-directory ARCH=arm64 build/arm64/vmm build/arm64/bench/launch
	$(Q)bench/boot $(if $(LKVM),--lkvm $(LKVM)) $(if $(LKVM_ARM64),--lkvm-arm64 $(LKVM_ARM64)) $(BENCH_ARGS)

# On emulated hosts: exits to user space of a boot, fio and iperf3, beside the peers.
# LKVM=path (static); BENCH_ARGS="--arch arm64".
.PHONY: bench-exits bench-lab
bench-exits bench-lab:
	$(Q)$(MAKE) --no-print-directory ARCH=x86_64 all
	$(Q)$(MAKE) --no-print-directory ARCH=arm64 all
	$(Q)bench/$(@:bench-%=%) $(if $(LKVM),--lkvm $(LKVM)) $(if $(LKVM_ARM64),--lkvm-arm64 $(LKVM_ARM64)) $(BENCH_ARGS)
