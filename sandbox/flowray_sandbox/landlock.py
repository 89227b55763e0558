"""Landlock: what the code inside may do with files and ports, held by the kernel whatever the mounts allow.

Everything readable, nothing executable, /tmp and /dev/shm writable; TCP to the gate only, and no listening.
"""

from __future__ import annotations

import ctypes
import os

from flowray_sandbox import syscalls
from flowray_sandbox.network import GATE

_LEAST_ABI = 4  # ports came with it
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
_MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM, _REFER, _TRUNCATE = 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14
_IOCTL_DEV, _IOCTL_DEV_ABI = 1 << 15, 5
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL, _SCOPE_ABI = 1, 2, 6
_PATH, _PORT = 1, 2

_READ = _READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO | _MAKE_SYM
_ALL = (_TRUNCATE << 1) - 1


class _Attributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


class Landlock:
    """The rules, prepared in the zygote; a child adds its own two folders and restricts itself."""

    def __init__(self) -> None:
        abi = syscalls.landlock_abi()
        if abi < _LEAST_ABI:
            raise RuntimeError(f"Landlock is too old: version {abi} of the {_LEAST_ABI} needed")
        files = _ALL | (_IOCTL_DEV if abi >= _IOCTL_DEV_ABI else 0)
        scoped = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if abi >= _SCOPE_ABI else 0
        self._attributes = _Attributes(files, _BIND_TCP | _CONNECT_TCP, scoped)
        self._shared = (
            _PathRule(_READ, os.open("/", os.O_PATH)),
            _PathRule(_READ | _WRITE_FILE, os.open("/dev", os.O_PATH)),
        )
        self._own = _PathRule(_WRITE | _REFER, -1)
        self._gate = _PortRule(_CONNECT_TCP, GATE[1])

    def restrict(self) -> None:
        """Hold the calling child to the rules. Its /tmp and /dev/shm are mounts of its own, so their rules are too."""
        rules = syscalls.landlock_create(self._attributes)
        for shared in self._shared:
            syscalls.landlock_add(rules, _PATH, shared)
        for folder in ("/tmp", "/dev/shm"):  # noqa: S108 - private to the child
            self._own.parent = os.open(folder, os.O_PATH)
            syscalls.landlock_add(rules, _PATH, self._own)
        syscalls.landlock_add(rules, _PORT, self._gate)
        syscalls.landlock_restrict(rules)
