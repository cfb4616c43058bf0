# SPDX-License-Identifier: ISC
"""What the benchmarks on emulated hosts share."""

import pathlib
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[1]
FLAVOUR = "6.1-cloud"
IMAGE = {"x86_64": "vmlinuz", "arm64": "Image"}

# Mounts what there is and loads the drivers of what it finds, in an initramfs of the lab.
GUEST_START = """#!/bin/busybox sh
export PATH=/bin:/sbin
/bin/busybox mount -a
for i in 1 2; do
    set --
    for f in /sys/bus/*/devices/*/modalias; do read -r a <$f && set -- "$@" "$a"; done
    modprobe -qa "$@"
done 2>/dev/null
"""


def tool(*command):
    return subprocess.run([str(c) for c in command], cwd=TOP, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def cpio_entry(name, data=b"", mode=0o100755):
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def kernel(arch):
    return (pathlib.Path(tool("scripts/kernel", arch, FLAVOUR)) / IMAGE[arch]).relative_to(TOP)


def initrd(arch, role, init, folder):
    """The lab's initramfs with another /init; the later of two files counts."""
    data = pathlib.Path(tool("tests/lab/initramfs", role, arch, FLAVOUR)).read_bytes()
    path = folder / "initrd.cpio"
    path.write_bytes(data + b"\0" * (-len(data) % 4) + cpio_entry("init", init.encode()) + cpio_entry("TRAILER!!!"))
    return path.relative_to(TOP)


def can(section):
    """Does our vmm have such a section?"""
    return f" {section}.NAME." in tool("build/x86_64/vmm", "--help")


def plot_bars(path, title, bars, logarithmic=False):
    """bars: (label, value); draws an SVG, or nothing if there is no gnuplot."""
    if not shutil.which("gnuplot") or not bars:
        return
    data = "\n".join(f'"{label}" {value:g}' for label, value in bars)
    script = f"""
set terminal svg size {140 + 90 * len(bars)},360 font "sans,11" background "white"
set output "{path}"
set title "{title}"
{"set logscale y" if logarithmic else ""}
set yrange [{"100" if logarithmic else "0"}:*]
set style fill solid 0.7
set boxwidth 0.6
set grid y
unset key
$d << END
{data}
END
plot $d using 0:2:xtic(1) with boxes lc rgb "#3465a4", $d using 0:2:2 with labels offset 0,0.6
"""
    subprocess.run(["gnuplot"], input=script, text=True, check=False)
