"""Landlock: what the code inside may do with files and ports, held by the kernel whatever the mounts allow.

Everything readable, nothing executable, /tmp and /dev/shm writable; no listening. A run that may reach hosts is held to
the ports of its doors when its spec is known.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from flowray_sandbox import syscalls
from flowray_sandbox.batch import Batch, Place, buffer

_LEAST_ABI = 4  # ports came with it
_EXECUTE, _WRITE_FILE, READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 8
_MAKE_SOCK, _MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM, _REFER, _TRUNCATE = 1 << 9, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14
_IOCTL_DEV, _IOCTL_DEV_ABI = 1 << 15, 5
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL, _SCOPE_ABI = 1, 2, 6
_PATH, _PORT = 1, 2
# The same on all machines.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446

_READ = READ_FILE | _READ_DIR
_WRITE = _READ | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO | _MAKE_SYM
_ALL = (_TRUNCATE << 1) - 1
RULE, DESCRIPTOR = struct.Struct("=Qi"), 4


class Landlock:
    """The rules: two that all children share, opened in the zygote, and two for the child's own folders."""

    def __init__(self) -> None:
        abi = syscalls.landlock_abi()
        if abi < _LEAST_ABI:
            raise RuntimeError(f"Landlock is too old: version {abi} of the {_LEAST_ABI} needed")
        files = _ALL | (_IOCTL_DEV if abi >= _IOCTL_DEV_ABI else 0)
        scoped = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if abi >= _SCOPE_ABI else 0
        self._attributes = buffer(struct.pack("=QQQ", files, _BIND_TCP, scoped))

    def add_to(self, batch: Batch, rules: int) -> None:
        """Append the calls to a child's list; `rules` is the descriptor that the rule set gets."""
        created = Place(buffer(4))
        batch.add("landlock_create_ruleset", self._attributes, len(self._attributes), 0, store=created)
        batch.add("dup3", created, rules, 0)
        for folder, allowed in (("/", _READ), ("/dev", _READ | _WRITE_FILE)):
            batch.add("landlock_add_rule", rules, _PATH, buffer(RULE.pack(allowed, os.open(folder, os.O_PATH))), 0)
        for own in (b"/tmp\0", b"/dev/shm\0"):
            # A mount of the child's own: only the child can open it.
            rule = buffer(RULE.pack(_WRITE | _REFER, -1))
            opened = Place(rule, RULE.size - DESCRIPTOR)
            batch.add("openat", -1, buffer(own), os.O_PATH | os.O_CLOEXEC, store=opened)
            batch.add("landlock_add_rule", rules, _PATH, rule, 0)
        batch.add("landlock_restrict_self", rules, 0)


def connect_only_to(ports: Iterable[int]) -> None:
    """Hold the calling process, on top of all else, to TCP connections to these ports."""
    attributes = buffer(struct.pack("=QQQ", 0, _CONNECT_TCP, 0))
    rules = syscalls.raw(_CREATE_RULESET, ctypes.addressof(attributes), len(attributes), 0, 0, 0, 0)
    try:
        for port in ports:
            rule = buffer(struct.pack("=QQ", _CONNECT_TCP, port))
            syscalls.raw(_ADD_RULE, rules, _PORT, ctypes.addressof(rule), 0, 0, 0)
        syscalls.raw(_RESTRICT_SELF, rules, 0, 0, 0, 0, 0)
    finally:
        os.close(rules)
