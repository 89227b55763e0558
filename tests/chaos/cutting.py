"""Cuts connections of a running process: the kernel lends its sockets, and they are shut down from outside."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

_PIDFD_GETFD = 438  # the same number on all architectures
_libc = ctypes.CDLL(None, use_errno=True)

Fits = Callable[[socket.socket], bool]


def cut(pid: int, fits: Fits) -> int:
    """Shut down those connections of a process that fit; how many. None where the kernel does not lend them."""
    count = 0
    for lent in _sockets(pid):
        with lent:
            try:
                if fits(lent):
                    lent.shutdown(socket.SHUT_RDWR)
                    count += 1
            except OSError:
                continue  # it listens, or is gone already
    return count


def leads_to(port: int) -> Fits:
    """Whether a connection leads to this port."""
    return lambda one: one.family in (socket.AF_INET, socket.AF_INET6) and one.getpeername()[1] == port


def goes_through(folder: Path) -> Fits:
    """Whether a connection goes through a socket file in this folder, as those between engines and Runners do."""

    def fits(one: socket.socket) -> bool:
        if one.family != socket.AF_UNIX or one.type != socket.SOCK_STREAM:
            return False
        ends = [end for end in (one.getsockname(), one.getpeername()) if isinstance(end, str) and end]
        return any(Path(end).parent == folder for end in ends)

    return fits


def _sockets(pid: int) -> Iterator[socket.socket]:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        for number in _descriptors(pid):
            lent = _libc.syscall(_PIDFD_GETFD, process, number, 0)
            if lent >= 0:
                yield socket.socket(fileno=lent)
    finally:
        os.close(process)


def _descriptors(pid: int) -> list[int]:
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []
    return [int(link.name) for link in links if _leads_to(link).startswith("socket:[")]


def _leads_to(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""  # closed meanwhile
