"""The filters on a real aarch64 kernel, in a virtual machine without anything else: seconds, also where it is emulated.

    apt-get install --no-install-recommends qemu-system-arm gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    python -m tests.aarch64.boot VMLINUZ        # of Debian's package linux-image-6.1.0-50-arm64, say

Prints what the kernel answered, and ends with an error unless each call was refused as the unit tests compute it.
"""

from __future__ import annotations

import ctypes
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.aarch64.archive import packed

MACHINE = "aarch64"
HERE = Path(__file__).parent
_COMPILER, _EMULATOR = f"{MACHINE}-linux-gnu-gcc", f"qemu-system-{MACHINE}"
_BOOTS_WITHIN_S = 300


def header() -> str:
    """The two filters in C, and the calls that they refuse whatever their arguments are, with the errors."""
    from flowray_sandbox import seccomp, syscalls
    from flowray_sandbox.syscall_table import numbers
    from tests.unit.sandbox.test_seccomp_programs import ALLOW, MACHINES, verdict

    syscalls.MACHINE = MACHINE
    made = {"inherited": seccomp.inherited(), "child": seccomp.child()}
    programs = {name: _code(program.header.raw) for name, program in made.items()}
    lines = [f"static struct sock_filter {name}[] = {{{_in_c(code)}}};" for name, code in programs.items()]
    calls = []
    for name, number in numbers(MACHINE).items():
        # The kernel asks all filters, the newest first, and takes the first of those answers that refuse.
        said = [verdict(code, MACHINES[MACHINE], number) for code in reversed(programs.values())]
        refused = [one & 0xFFFF for one in said if one != ALLOW]
        calls += [f'{{"{name}",{number},{refused[0]}}}'] if refused else []
    lines.append(f"static struct {{const char *name; int number, error;}} calls[] = {{{','.join(calls)}}};")
    return "\n".join(lines)


def _in_c(code: bytes) -> str:
    return ",".join(f"{{{kind},{yes},{no},{value}u}}" for kind, yes, no, value in struct.iter_unpack("<HBBI", code))


def _code(raw: bytes) -> bytes:
    count, address = struct.unpack("=H6xQ", raw[:16])
    return ctypes.string_at(address, 8 * count)


def main(kernel: str) -> None:
    """Build it, boot it, judge what it said."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "filters.h").write_text(header())
        compiled: list[str | Path] = [
            _COMPILER,
            "-static",
            "-O1",
            "-I",
            folder,
            "-o",
            root / "init",
            HERE / "init.c",
            "-lpthread",
        ]
        subprocess.run(compiled, check=True)
        (root / "disk").write_bytes(packed({"init": (root / "init").read_bytes()}))
        machine = ["-M", "virt", "-cpu", "cortex-a57", "-m", "512", "-nic", "none", "-nographic", "-no-reboot"]
        started: list[str | Path] = [
            "-kernel",
            kernel,
            "-initrd",
            root / "disk",
            "-append",
            "console=ttyAMA0 panic=-1 quiet",
        ]
        booted = subprocess.run(
            [_EMULATOR, *machine, *started],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_BOOTS_WITHIN_S,
            check=True,
        )
    sys.stdout.write(booted.stdout)
    wanted = ("FILTERS 0 0", ", 0 otherwise", "THREAD 1 FORK 0", "inet 1 unix 0 vsock 0 packet 0", "ENDED 0")
    if missing := [words for words in wanted if words not in booted.stdout]:
        raise SystemExit(f"It did not say {missing}.")


if __name__ == "__main__":
    main(sys.argv[1])
