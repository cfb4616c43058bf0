# SPDX-License-Identifier: ISC
# The commands of the README are `make run`, `make run-debian` and `make check`.
#
#   make [ARCH=x86_64|arm64] [SAN=asan|tsan] [CC=clang] [V=1]
#
# Everything lands in build/<arch>[-<san>]/. A source whose name ends in _x86_64.c
# or _arm64.c is compiled for that architecture only, all others for both.

HOST_ARCH := $(shell uname -m | sed s/aarch64/arm64/)
ARCH ?= $(HOST_ARCH)
SAN ?=
PREFIX ?= /usr/local
Q := $(if $(V),,@)
B := build/$(ARCH)$(if $(SAN),-$(SAN))
OTHER := $(if $(filter x86_64,$(ARCH)),arm64,x86_64)

ifeq ($(ARCH)-$(HOST_ARCH),arm64-x86_64)
CC := aarch64-linux-gnu-gcc
AR := aarch64-linux-gnu-ar
SYSROOT := build/cache/sysroot-arm64
ARCH_CFLAGS := -isystem $(SYSROOT)/usr/include
ARCH_LDFLAGS := -L$(SYSROOT)/usr/lib/aarch64-linux-gnu
# libc.so is a script with absolute paths; and what shared libraries need in their turn is
# found when the program starts.
ARCH_DYNAMIC := --sysroot=$(abspath $(SYSROOT)) -Wl,--allow-shlib-undefined
endif
ifeq ($(origin CC),default)
CC := gcc
endif

WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wvla -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2
SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_tsan := -fsanitize=thread -Wno-tsan
SAN_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
SAN_cover := --coverage
OPT ?= -O2
CFLAGS ?= $(OPT) -g
# The optimised build is a static PIE: no dynamic linker between exec and the guest
# (doc/adr/0002-linkage.md), and beside it vmm-full, a dynamic one with the backs that need
# shared libraries (doc/adr/0012-vmm-full.md).  Other builds are dynamic and have all in one.
STATIC := $(if $(SAN),,-static-pie)
PIC := $(if $(SAN),,-fPIE)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Iinclude $(ARCH_CFLAGS) $(WARN) $(CFLAGS) $(PIC) \
	-fstack-protector-strong -ffunction-sections -fdata-sections -pthread $(SAN_$(SAN))
ALL_LDFLAGS = $(ARCH_LDFLAGS) $(LDFLAGS) -Wl,--gc-sections -pthread $(SAN_$(SAN))
LIBS := -lev -luring -lfdt -lz -lm
# As needed: a program that uses none of the backs does not load their libraries.  libnbd is
# not here: it brings in so much that src/full/ loads it when a disk asks for it.
FULL_LIBS := $(LIBS) -Wl,--as-needed -lslirp

SRC := $(filter-out %_$(OTHER).c src/main.c src/full_none.c src/full/%,$(wildcard src/*.c src/*/*.c))
OBJ := $(SRC:%.c=$(B)/%.o)
FULL_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard src/full/*.c))
LIB := $(B)/libvmm.a
# Each of the two archives calls the other.
GROUP = -Wl,--start-group $^ -Wl,--end-group
FULL_LIB := $(B)/libfull.a

.PHONY: all clean
ifeq ($(SAN),)
all: $(B)/vmm $(B)/vmm-full

$(B)/vmm: $(B)/src/main.o $(B)/src/full_none.o $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(STATIC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(B)/vmm-full: $(B)/src/main.o $(FULL_OBJ) $(LIB)
else
all: $(B)/vmm

$(B)/vmm: $(B)/src/main.o $(FULL_OBJ) $(LIB)
endif
	@echo "  LD      $@"
	$(Q)$(CC) $(if $(SAN),,-pie) $(ARCH_DYNAMIC) $(ALL_LDFLAGS) -o $@ $^ $(FULL_LIBS)

$(LIB): $(OBJ)
$(FULL_LIB): $(FULL_OBJ)
$(LIB) $(FULL_LIB):
	@echo "  AR      $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Where `make install` puts vmm-full.  A change of PREFIX rebuilds who looks there.
$(B)/src/full_none.o: ALL_CFLAGS += -DVMM_LIBEXEC='"$(PREFIX)/libexec/vmm"'
$(B)/src/full_none.o: $(B)/prefix
$(B)/prefix: FORCE
	@mkdir -p $(@D)
	@echo '$(PREFIX)' | cmp -s - $@ || echo '$(PREFIX)' >$@

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	@echo "  CC      $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# A change of compiler or flags rebuilds.
$(B)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS)' >$@
.PHONY: FORCE
.PRECIOUS: $(B)/%.o

# ---- unit tests: cmocka, no KVM; `make build/x86_64-asan/tests/unit/test_x SAN=asan` ----

UNIT := $(patsubst tests/unit/%.c,%,$(filter-out %_$(OTHER).c,$(wildcard tests/unit/test_*.c)))
UNIT_SUPPORT := $(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c))

$(B)/tests/unit/test_%: $(B)/tests/unit/test_%.o $(UNIT_SUPPORT:%.c=$(B)/%.o) $(FULL_LIB) $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(GROUP) -lcmocka $(FULL_LIBS)

# Runs each program of $^, prints what failed, and one line for each program.
run_cmocka = scripts/run-cmocka $^

.PHONY: unit unit-run
unit:
	$(Q)$(MAKE) --no-print-directory SAN=asan unit-run
unit-run: $(UNIT:%=$(B)/tests/unit/%)
	$(Q)$(run_cmocka)

# ---- thread tests: real threads, no KVM; under TSan ----

THREAD := $(patsubst tests/thread/%.c,%,$(wildcard tests/thread/test_*.c))

$(B)/tests/thread/test_%: $(B)/tests/thread/test_%.o $(FULL_LIB) $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(GROUP) -lcmocka $(FULL_LIBS)

.PHONY: thread thread-run
thread:
	$(Q)$(MAKE) --no-print-directory SAN=tsan thread-run
thread-run: $(THREAD:%=$(B)/tests/thread/%)
	$(Q)$(run_cmocka)

# ---- fuzz targets: one for each trust boundary; clang's libFuzzer ----

FUZZ := $(patsubst tests/fuzz/%.c,%,$(filter-out %_$(OTHER).c,$(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SECONDS ?= 10

$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(FULL_LIB) $(LIB)
	@echo "  LD      $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $(GROUP) $(FULL_LIBS)

.PHONY: fuzz fuzz-smoke fuzz-build
fuzz-build: $(FUZZ:%=$(B)/tests/fuzz/%)
# `make fuzz FUZZ_SECONDS=600`; the smoke run only proves that the targets work.
fuzz fuzz-smoke:
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=fuzz fuzz-build
	$(Q)scripts/fuzz $(FUZZ_SECONDS) $(FUZZ:%=build/$(ARCH)-fuzz/tests/fuzz/%)

# ---- what a person calls ----

.PHONY: run run-debian image check lint install cover
run:
	$(Q)scripts/run
# A Debian root disk; a system on a copy of it.
image:
	$(Q)scripts/deps run
	$(Q)scripts/image $(ARCH)
run-debian:
	$(Q)scripts/run --arch $(ARCH) --debian
check:
	$(Q)scripts/check
lint:
	$(Q)scripts/lint

install: $(B)/vmm $(B)/vmm-full
	install -D -m 755 $(B)/vmm $(DESTDIR)$(PREFIX)/bin/vmm
	install -D -m 755 $(B)/vmm-full $(DESTDIR)$(PREFIX)/libexec/vmm/vmm-full
	install -D -m 644 man/vmm.1 $(DESTDIR)$(PREFIX)/share/man/man1/vmm.1
	install -D -m 644 man/vm.ini.5 $(DESTDIR)$(PREFIX)/share/man/man5/vm.ini.5
	install -D -m 644 examples/vm.ini $(DESTDIR)$(PREFIX)/share/doc/vmm/vm.ini

# Line coverage of the unit tests.
cover:
	$(Q)$(MAKE) --no-print-directory SAN=cover unit-run
	$(Q)scripts/cover build/$(ARCH)-cover

include $(wildcard tests/*/*.mk bench/*.mk)

clean:
	rm -rf build/x86_64* build/arm64*

-include $(shell find $(B) -name '*.d' 2>/dev/null)
