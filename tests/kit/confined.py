"""Runs a command the way a pod of ours would be run: `python confined.py PROFILE COMMAND...`.

No new privileges, no capability, and the seccomp profile of a container runtime's JSON, loaded by libseccomp.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_COMPARISONS = {"SCMP_CMP_NE": 1, "SCMP_CMP_EQ": 4}
_NO_NEW_PRIVS = 38
LIBRARY = ctypes.util.find_library("seccomp")


class _Comparison(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("comparison", ctypes.c_int),
        ("value", ctypes.c_uint64),
        ("value_two", ctypes.c_uint64),
    )


def load(profile: dict[str, Any]) -> None:
    """Hold this process, and what it executes, to a profile."""
    library = ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_ERRNO | profile["defaultErrnoRet"]))
    for rule in profile["syscalls"]:
        comparisons = [
            _Comparison(one["index"], _COMPARISONS[one["op"]], one["value"], one["valueTwo"])
            for one in rule.get("args", ())
        ]
        array = (_Comparison * len(comparisons))(*comparisons)
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number < 0:
                continue  # of another machine, or newer than this library: runtimes pass over it, too
            added = library.seccomp_rule_add_array(context, _ALLOW, number, len(comparisons), array)
            if added not in (0, -errno.EEXIST):
                sys.exit(f"{name}: {os.strerror(-added)}")
    if library.seccomp_load(context):
        sys.exit("the profile could not be loaded")


def main() -> None:
    """Confine, then execute."""
    if ctypes.CDLL(None).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        sys.exit("no new privileges: refused")
    load(json.loads(Path(sys.argv[1]).read_text()))
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
