"""The disk and the first files of an aarch64 machine with FlowRay on it: made here, without running any of it.

Debian's packages are unpacked and never configured, the wheels are those of the locks for that kind of machine, and
this Python's bytecode is good there as well.
"""

from __future__ import annotations

import lzma
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from unittest import mock

from flowray.sandbox import image
from flowray.sandbox.interpreter import Interpreter, interpreters
from tests.aarch64.archive import packed
from tests.kit.starters import wheel

MACHINE = "aarch64"
HERE = Path(__file__).parent
TREE = HERE.parents[1]
_SUITE, _PYTHON = "trixie", "3.13"
_PACKAGES = """
    base-files bash busybox-static coreutils findutils iproute2 libgomp1 libstdc++6 linux-image-arm64 mount openssl
    procps python3 util-linux
"""
_HOOK = "/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh"
_MODULES = ("virtio_blk", "ext4", "crc32c_generic")
_ETC = {
    "passwd": "root:x:0:0::/root:/bin/bash\nflowray:x:1000:1000::/srv/home:/bin/bash\n",
    "group": "root:x:0:\nflowray:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
USER = 1000
_DISK = "8G"


def build(root: Path) -> None:
    """Debian, what the tests need, and the default environment image, below this folder; minutes."""
    aside = root.with_name(f".{root.name}")
    shutil.rmtree(aside, ignore_errors=True)
    command = ["mmdebstrap", "--mode=root", "--variant=extract", "--architectures=arm64", f"--setup-hook={_HOOK}"]
    _run([*command, f"--include={','.join(_PACKAGES.split())}", _SUITE, aside])
    (aside / "usr" / "bin" / "sh").symlink_to("bash")
    for name, text in _ETC.items():
        (aside / "etc" / name).write_text(text)
    interpreter = next(interpreters())
    if interpreter.python.name != f"python{_PYTHON}":
        raise SystemExit(f"Python {_PYTHON}, which {_SUITE} has, is needed here, to compile bytecode for it.")
    _environment(aside / "srv" / "flowray" / ".venv", interpreter)
    _image(aside / "srv" / "cache" / "flowray" / "images", interpreter)
    shipped = aside / "srv" / "cache" / "flowray-tests"
    shipped.mkdir()
    shutil.copy(wheel(), shipped)
    _run([interpreter.python, "-m", "compileall", "-q", "-j0", aside / "usr" / "lib" / f"python{_PYTHON}"], check=False)
    aside.rename(root)


def _environment(folder: Path, interpreter: Interpreter) -> None:
    packages = folder / "lib" / f"python{_PYTHON}" / "site-packages"
    _install(TREE / "deploy" / "locks" / "dev.txt", packages, interpreter)
    (packages / "flowray.pth").write_text(
        "".join(f"/srv/flowray/{part}\n" for part in ("", "registry", "sandbox", "serve"))
    )
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "bin").mkdir()
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(f"/usr/bin/python{_PYTHON}")


def _image(images: Path, interpreter: Interpreter) -> None:
    lock, there = image.default_lock(), Interpreter(python=Path(f"/usr/bin/python{_PYTHON}"), base_prefix=Path("/usr"))
    with mock.patch.object(platform, "machine", return_value=MACHINE):
        folder = images / image._folder_name(lock)
        _install(lock, folder / "site-packages", interpreter)
        image._write(folder / "image.json", lock, there)


def _install(lock: Path, packages: Path, interpreter: Interpreter) -> None:
    packages.mkdir(parents=True)
    kind = ("--python-platform", f"{MACHINE}-manylinux_2_28", "--python-version", _PYTHON, "--only-binary", ":all:")
    here = ("--python", interpreter.python, "--compile-bytecode", "--target", packages)
    _run(
        [
            Path(sys.executable).with_name("uv"),
            "pip",
            "install",
            "-q",
            "--require-hashes",
            "--no-deps",
            *kind,
            *here,
            "-r",
            lock,
        ]
    )


def disk(root: Path, file: Path, command: Sequence[str], *, user: int) -> None:
    """The root file system as it is now, with this tree in it and the command that it is to run."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=TREE, check=True, capture_output=True
    )
    for name in filter(None, tracked.stdout.decode().split("\0")):
        target = root / "srv" / "flowray" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TREE / name, target)
    (root / "srv" / "home").mkdir(exist_ok=True)
    (root / "srv" / "command").write_text("\0".join(command))
    (root / "srv" / "user").write_text(str(user))
    for path in chain([root / "srv"], (root / "srv").rglob("*")):
        os.chown(path, USER, USER, follow_symlinks=False)
    file.unlink(missing_ok=True)
    _run(["mke2fs", "-q", "-t", "ext4", "-d", root, file, _DISK])


def kernel(root: Path) -> Path:
    """Debian's kernel."""
    return next((root / "boot").glob("vmlinuz-*"))


def first_files(root: Path) -> bytes:
    """What the kernel starts with: the modules to find the disk, and a program that does."""
    modules = {path.name.removesuffix(".ko.xz"): path for path in (root / "usr" / "lib" / "modules").rglob("*.ko.xz")}
    order = list(dict.fromkeys(chain.from_iterable(_with_needed(name, modules) for name in _MODULES)))
    files = {f"modules/{name}.ko": lzma.decompress(modules[name].read_bytes()) for name in order}
    files |= {"init": (HERE / "first.sh").read_bytes(), "order": " ".join(order).encode()}
    files["bin/busybox"] = (root / "usr" / "bin" / "busybox").read_bytes()
    return packed(files, folders=("bin", "modules", "root"))


def _with_needed(name: str, modules: dict[str, Path]) -> Iterator[str]:
    """A module after those that it needs, which it names itself; what is built into the kernel has no file."""
    found = re.search(rb"\0depends=([^\0]*)\0", lzma.decompress(modules[name].read_bytes()))
    for needed in filter(None, found[1].decode().split(",") if found else ()):
        if needed in modules:
            yield from _with_needed(needed, modules)
    yield name


def _run(command: Sequence[str | Path], *, check: bool = True) -> None:
    subprocess.run(command, check=check)
