"""The first step of a zygote's start when the service runs as root: become nobody, then start bubblewrap.

Run as a script, with the standard library only. An unprivileged user cannot reach below folders such as /root, where an
interpreter or an image may lie. So, still as root but in a user and mount namespace of its own, this opens what the
jail needs, takes an unprivileged user id for good, binds what it opened below /tmp (of that namespace only), and
executes bubblewrap from there. It needs CAP_SETUID and CAP_SETGID of the host, and no other power.
"""

from __future__ import annotations

import ctypes
import json
import os
import stat
import sys

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
STAGE = "/tmp"  # noqa: S108 - covered by a tmpfs of this namespace


def main() -> None:
    """Read what to do from the only argument, and do it."""
    wanted = json.loads(sys.argv[1])
    os.setgroups([])
    _enter_namespaces(wanted["uid"])
    # Opened while still root, and before the stage covers /tmp, where a source may lie.
    sources = {name: os.open(source, os.O_PATH) for name, source in wanted["sources"].items()}
    os.setresgid(*[wanted["uid"]] * 3)
    os.setresuid(*[wanted["uid"]] * 3)
    _stage(sources)
    os.execve(wanted["command"][0], wanted["command"], {})  # noqa: S606 - no shell is the point


def _enter_namespaces(uid: int) -> None:
    """Unshare; a process that stays behind writes the maps, which only the host's root may."""
    ready_read, ready_write = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        os.close(ready_write)
        os.read(ready_read, 1)
        for kind in ("uid", "gid"):
            with open(f"/proc/{os.getppid()}/{kind}_map", "w") as file:  # noqa: PTH123 - no pathlib: start-up time
                file.write(f"{uid} {uid} 1")
        os._exit(0)
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    os.write(ready_write, b"!")
    if os.waitpid(mapper, 0)[1] != 0:
        sys.exit("the user map could not be written: root needs CAP_SETUID and CAP_SETGID")
    os.close(ready_read)
    os.close(ready_write)


def _stage(sources: dict[str, int]) -> None:
    """Bind each source below the stage, under its name there.

    The powers over this namespace outlast the change of user; they end with the execution of bubblewrap.
    """
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    _call("mount", b"tmpfs", STAGE.encode(), b"tmpfs", 0, b"mode=755,size=1m")
    for name, descriptor in sources.items():
        target = f"{STAGE}/{name}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.mkdir(target)  # noqa: PTH102
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        _call("mount", f"/proc/self/fd/{descriptor}".encode(), target.encode(), None, _MS_BIND | _MS_REC, None)
        os.close(descriptor)


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        sys.exit(f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
