# SPDX-License-Identifier: ISC
# Bare-metal guests: `make payloads`, `make payload-run`.  Not built with the
# sanitizers of vmm, so not under $(B).

PAYLOAD_DIR := build/payload/$(ARCH)
PAYLOAD_CC := $(if $(filter arm64,$(ARCH)),$(if $(filter arm64,$(HOST_ARCH)),gcc,aarch64-linux-gnu-gcc),gcc)
PAYLOAD_CFLAGS_x86_64 := -m64 -march=x86-64 -mno-red-zone -mcmodel=small -fcf-protection=none
PAYLOAD_CFLAGS_arm64 := -march=armv8-a -mstrict-align -mno-outline-atomics
PAYLOAD_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -mgeneral-regs-only -fno-pic -fno-pie \
	-fno-stack-protector -fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns \
	-Itests/payload/lib $(WARN) $(PAYLOAD_CFLAGS_$(ARCH))
PAYLOAD_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,max-page-size=4096 \
	-Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,-T,tests/payload/lib/$(ARCH).ld

PAYLOAD_LIB := $(filter-out %_$(OTHER).c %_$(OTHER).S,$(wildcard tests/payload/lib/*.c tests/payload/lib/*.S))
PAYLOAD_LIB_OBJ := $(patsubst tests/payload/lib/%,$(PAYLOAD_DIR)/lib/%.o,$(PAYLOAD_LIB))
PAYLOAD_SRC := $(filter-out %_$(OTHER).c,$(wildcard tests/payload/*.c))
PAYLOAD_SUFFIX := $(if $(filter arm64,$(ARCH)),img,elf)
PAYLOADS := $(patsubst tests/payload/%.c,$(PAYLOAD_DIR)/%.$(PAYLOAD_SUFFIX),$(PAYLOAD_SRC))

.PHONY: payloads payload-run
payloads: $(PAYLOADS) $(PAYLOAD_DIR)/run
payload-run: payloads $(B)/vmm
	$(Q)tests/payload/run --arch $(ARCH) --vmm $(B)/vmm $(PAYLOAD_ARGS)

# The runner is static, so that it runs in the lab.
$(PAYLOAD_DIR)/run: tests/payload/host/run.c tests/payload/host/tests.c tests/payload/host/run.h $(PAYLOAD_DIR)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(PAYLOAD_CC) -std=gnu11 -D_GNU_SOURCE $(WARN) -O2 -g -static -o $@ $(filter %.c,$^)

$(PAYLOAD_DIR)/%.c.o: tests/payload/%.c $(PAYLOAD_DIR)/flags
	@mkdir -p $(@D)
	@echo "  PCC     $<"
	$(Q)$(PAYLOAD_CC) $(PAYLOAD_CFLAGS) -MMD -MP -c -o $@ $<

$(PAYLOAD_DIR)/%.S.o: tests/payload/%.S $(PAYLOAD_DIR)/flags
	@mkdir -p $(@D)
	@echo "  PAS     $<"
	$(Q)$(PAYLOAD_CC) $(PAYLOAD_CFLAGS) -MMD -MP -c -o $@ $<

$(PAYLOAD_DIR)/%.elf: $(PAYLOAD_DIR)/%.c.o $(PAYLOAD_LIB_OBJ) tests/payload/lib/$(ARCH).ld
	@echo "  PLD     $@"
	$(Q)$(PAYLOAD_CC) $(PAYLOAD_LDFLAGS) -o $@ $(filter %.o,$^) -lgcc

$(PAYLOAD_DIR)/%.img: $(PAYLOAD_DIR)/%.elf
	$(Q)$(PAYLOAD_CC:gcc=objcopy) -O binary $< $@

.PRECIOUS: $(PAYLOAD_DIR)/%.elf $(PAYLOAD_DIR)/%.c.o $(PAYLOAD_DIR)/%.S.o
$(PAYLOAD_DIR)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(PAYLOAD_CC) $(PAYLOAD_CFLAGS)' | cmp -s - $@ || echo '$(PAYLOAD_CC) $(PAYLOAD_CFLAGS)' >$@

-include $(wildcard $(PAYLOAD_DIR)/*.d $(PAYLOAD_DIR)/lib/*.d)
