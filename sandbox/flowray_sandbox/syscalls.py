"""The system calls that build the walls, as plain functions: libc through ctypes, nothing else to ship or to trust.

The functions are bound once, with their argument types, so that a freshly forked child only calls them: each page of
interpreter state that a child touches is a page that the kernel copies.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Callable
from ctypes import c_int, c_long, c_size_t, c_ulong, c_void_p
from typing import Any, cast

from flowray_sandbox.syscall_table import numbers

# PyDLL keeps the GIL: the zygote has one thread, and giving the lock away and taking it back costs more than the calls.
_libc = ctypes.PyDLL(None, use_errno=True)

_CLONE_THREAD = 0x00010000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECUREBITS = 28
PR_SET_THP_DISABLE = 41

MACHINE = platform.machine()
# Numbers above 423 are the same on all machines.
_CLOSE_RANGE, _LANDLOCK_CREATE = 436, 444
_SECCOMP = numbers(MACHINE)["seccomp"]


def _checked(result: int, function: object, _arguments: tuple[object, ...]) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{getattr(function, '__name__', 'system call')}: {os.strerror(number)}")
    return result


def _bind(name: str, *argument_types: type) -> Callable[..., int]:
    function: Any = getattr(_libc, name)
    function.argtypes = argument_types
    function.restype = c_long if name == "syscall" else c_int
    function.errcheck = _checked
    return cast("Callable[..., int]", function)


unshare = _bind("unshare", c_int)
setns = _bind("setns", c_int, c_int)
prctl = _bind("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
madvise = _bind("madvise", c_void_p, c_size_t, c_int)
# `os.fork` runs every module's fork hooks, which copies hundreds of pages; a parent with one thread needs none of them.
# It must be libc's, not the bare call: handlers that libraries register with libc reseed their random generators.
fork: Callable[[], int] = _libc.fork
_mprotect = _bind("mprotect", c_void_p, c_size_t, c_int)
_syscall = _bind("syscall", c_long, *[c_void_p] * 6)


def assert_one_thread() -> None:
    """Raise if the process has a second thread: a fork would lose it, and leave its locks locked."""
    try:
        unshare(_CLONE_THREAD)  # grants nothing, but is refused to a process of several threads
    except OSError as cause:
        raise RuntimeError("a preloaded module started a thread; forks of such a process may hang") from cause


def protect(address: int, size: int, protection: int) -> None:
    """Change what may be done with mapped memory."""
    _mprotect(address, size, protection)


raw = _syscall


def close_from(first: int) -> None:
    """Close every descriptor from `first` on."""
    _syscall(_CLOSE_RANGE, first, 0xFFFFFFFF, 0, 0, 0, 0)


def landlock_abi() -> int:
    """The Landlock version of the kernel; raises when there is none."""
    return _syscall(_LANDLOCK_CREATE, 0, 0, 1, 0, 0, 0)


def seccomp_filter(program: ctypes.Array[ctypes.c_char]) -> None:
    """Install the filter that this `sock_fprog` describes, on top of those in place."""
    _syscall(_SECCOMP, 1, 0, ctypes.addressof(program), 0, 0, 0)
