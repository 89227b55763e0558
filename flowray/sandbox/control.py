"""The control channel to a zygote: orders down, reports up, each one message of a SOCK_SEQPACKET socket.

The inside has its own copy of these layouts (`flowray_sandbox.zygote`): the two sides share no code.
"""

from __future__ import annotations

import array
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_ORDER = struct.Struct("<cI")
_BORN = struct.Struct("<cII")
_CELL = struct.Struct("<cI")
_DOOR = struct.Struct("<4sH")
_GONE = struct.Struct("<cIIIddQQ")
_CREDENTIALS = struct.Struct("3i")
_MOST = 8192
_DESCRIPTORS = 64
_ANCILLARY = socket.CMSG_SPACE(_DESCRIPTORS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)


def spawn(number: int) -> bytes:
    """Fork a child under this number. The entrances of its control group go with the order, three at most."""
    return _ORDER.pack(b"S", number)


def keep_cell(cell: int) -> bytes:
    """The cell's network was not used: another child may have it."""
    return _ORDER.pack(b"K", cell)


def drop_cell(cell: int) -> bytes:
    """The cell's network was used: it ends."""
    return _ORDER.pack(b"D", cell)


def listen(cell: int, doors: Iterable[tuple[str, int]]) -> bytes:
    """Listen in the cell's network, at each of these addresses and ports."""
    return _ORDER.pack(b"L", cell) + b"".join(_DOOR.pack(socket.inet_aton(address), port) for address, port in doors)


@dataclass(frozen=True, kw_only=True)
class Started:
    """The zygote is warm. `pid` comes from the kernel."""

    pid: int
    facts: bytes


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The zygote could not start."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Born:
    """A child is behind its walls. `pid` comes from the kernel.

    `passed` are its channel and its pidfd, or less where this process had no room for more descriptors.
    """

    number: int
    pid: int
    cell: int
    passed: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class NewCell:
    """A network was made for children to come: its listener; none where this process had no room for it."""

    cell: int
    listeners: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Listening:
    """The listeners that were asked for, in their order; none when they could not be made."""

    cell: int
    listeners: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Gone:
    """A child ended: its wait status and what it used."""

    number: int
    cell: int
    status: int
    cpu_s: float
    max_rss_mib: float
    faults: int


Report = Started | Failed | NewCell | Born | Listening | Gone


def receive(control: socket.socket) -> Report | None:
    """The next report, or None at the end. Raises BlockingIOError when there is none yet."""
    message, ancillary, _, _ = control.recvmsg(_MOST, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    if not message:
        return None
    kind = message[:1]
    if kind == b"G":
        _, number, cell, status, user_s, system_s, max_rss_kib, faults = _GONE.unpack(message)
        return Gone(
            number=number,
            cell=cell,
            status=status,
            cpu_s=user_s + system_s,
            max_rss_mib=max_rss_kib / 1024,
            faults=faults,
        )
    if kind == b"B":
        _, number, cell = _BORN.unpack(message)
        return Born(number=number, pid=_pid(ancillary), cell=cell, passed=_descriptors(ancillary))
    if kind in (b"C", b"L"):
        _, cell = _CELL.unpack(message)
        listeners = _descriptors(ancillary)
        return NewCell(cell=cell, listeners=listeners) if kind == b"C" else Listening(cell=cell, listeners=listeners)
    if kind == b"R":
        return Started(pid=_pid(ancillary), facts=message[1:])
    return Failed(reason=message[1:].decode(errors="replace"))


def _descriptors(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    passed = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            passed.frombytes(content)
    return tuple(passed)


def _pid(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(content)[0])
    return 0
