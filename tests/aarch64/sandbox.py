"""FlowRay's whole sandbox on a real aarch64 kernel, in an emulated machine: Debian's, with the packages of the locks.

    apt-get install --no-install-recommends qemu-system-arm mmdebstrap
    python -m tests.aarch64.sandbox FOLDER python -m pytest -p tests.aarch64.patient tests/integration/sandbox

Needs root, Python 3.13 and 12 GB below FOLDER, which is kept for the next time. The command runs in this tree's copy,
as a user who was delegated a control group (version 2); with `--root` after FOLDER, as root. Slow: a zygote with all of
lfx takes four minutes to get warm.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.aarch64 import machine

_MACHINE = "-M virt -cpu neoverse-n1 -accel tcg,thread=multi -smp 2 -m 6144 -nic none -nographic -no-reboot"
_KERNEL = "console=ttyAMA0 panic=-1 quiet"


def main(folder: Path, command: list[str]) -> int:
    """Build it unless it is there, boot it, and tell how the command ended."""
    root, disk, first = folder / "root", folder / "disk", folder / "first"
    user = 0 if command[0] == "--root" else machine.USER
    folder.mkdir(parents=True, exist_ok=True)
    if not root.exists():
        machine.build(root)
    machine.disk(root, disk, command[not user :], user=user)
    first.write_bytes(machine.first_files(root))
    started: list[str | Path] = ["-kernel", machine.kernel(root), "-initrd", first, "-append", _KERNEL]
    drive = ["-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={disk}", "-device", "virtio-blk-pci,drive=disk"]
    booted = [f"qemu-system-{machine.MACHINE}", *_MACHINE.split(), *started, *drive, "-device", "virtio-rng-pci"]
    ended = 1
    with subprocess.Popen(
        booted, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as running:
        for line in running.stdout or ():
            print(line, end="", flush=True)  # noqa: T201
            if line.startswith("ENDED "):
                ended = int(line.split()[1])
    return ended


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
