"""Network namespaces for children: each with a loopback of its own and a listener there for the host's gate.

A socket stays in the namespace that it was made in, so the host can accept on the listener from outside, and nothing
has to forward inside. Making a namespace is the most expensive of the walls; one whose run could open no socket is as
new as on its first day, and the host says which those are.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from flowray_sandbox import syscalls

GATE = ("127.0.0.1", 3128)
_SIOCSIFFLAGS, _SIOCGSKNS = 0x8914, 0x894C
_IFF_UP = 1
_BACKLOG = 64
_DOOR = struct.Struct("<4sH")
_HOSTS = "/dev/shm/hosts"  # noqa: S108 - a file system of the child's own; /etc/hosts leads to it


@dataclass(slots=True)
class Cell:
    """One namespace, kept by its descriptor."""

    number: int
    namespace: int


def make_cell(number: int) -> tuple[Cell, socket.socket]:
    """Enter a new network namespace and bring up what a child needs there: the loopback, and the listener on it.

    The caller stays in it: the zygote uses no network itself, and its next cell starts with a new one anyway.
    """
    syscalls.unshare(syscalls.CLONE_NEWNET)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    fcntl.ioctl(listener, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
    listener.bind(GATE)
    listener.listen(_BACKLOG)
    listener.settimeout(0)
    namespace = fcntl.ioctl(listener, _SIOCGSKNS, 0)
    return Cell(number, namespace), listener


def write_names(names: Mapping[str, str]) -> None:
    """Let the calling child find these names, each at its address."""
    with open(_HOSTS, "w") as hosts:  # noqa: PTH123 - once per run
        hosts.writelines(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **names}.items())


class Cells:
    """The cells that are free, and those whose run is not yet known to have left them untouched."""

    def __init__(self) -> None:
        self._made = 0
        self._free: list[Cell] = []
        self._used: dict[int, Cell] = {}

    def take(self, tell: Callable[[Cell, socket.socket], None]) -> Cell:
        """A cell for the next child. `tell` gets a new one's listener, which is closed here afterwards."""
        cell = self._free.pop() if self._free else self._make(tell)
        self._used[cell.number] = cell
        return cell

    def keep(self, number: int) -> None:
        """The cell's run is over and could open no socket: use it again."""
        self._free.append(self._used.pop(number))

    def drop(self, number: int) -> None:
        """The cell's run is over and may have left something behind: the namespace ends with its last descriptor."""
        os.close(self._used.pop(number).namespace)

    def listen(self, number: int, doors: bytes) -> Iterator[socket.socket]:
        """Listeners in a cell that is in use, at the addresses and ports that the host packed."""
        syscalls.setns(self._used[number].namespace, syscalls.CLONE_NEWNET)
        for address, port in _DOOR.iter_unpack(doors):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            yield listener
            listener.bind((socket.inet_ntoa(address), port))
            listener.listen(_BACKLOG)
            listener.settimeout(0)

    def _make(self, tell: Callable[[Cell, socket.socket], None]) -> Cell:
        self._made += 1
        cell, listener = make_cell(self._made)
        with listener:
            tell(cell, listener)
        return cell
