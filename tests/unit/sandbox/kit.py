"""The zygote's end of the control channel, as a test plays it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence

from flowray.sandbox import control
from flowray.sandbox.child import Child
from flowray.sandbox.zygote import Zygote

CELL = 7
READY = b'\0\0\0\t\x10{"pid":1}'
Ends = tuple[socket.socket, socket.socket]


async def taken(theirs: socket.socket, number: int) -> list[bytes]:
    """So many orders."""
    return [await asyncio.get_running_loop().sock_recv(theirs, 100) for _ in range(number)]


async def born(zygote: Zygote, theirs: socket.socket, pid: int) -> Child:
    """A child, as a zygote announces it: its network, then its channel with its first words on it."""
    spawning = asyncio.create_task(zygote.spawn())
    await taken(theirs, 1)
    tell_cell(theirs)
    tell_born(theirs, 1, pid).close()
    return await spawning


def tell_cell(theirs: socket.socket, *, passed: int = 1) -> None:
    """A new network, with as many of its descriptors."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        _send(theirs, control._CELL.pack(b"C", CELL), [listener.fileno()][:passed])


def tell_born(theirs: socket.socket, number: int, pid: int, *, passed: int = 2) -> socket.socket:
    """A child in that network, with as many of its descriptors; its own end of the channel."""
    channel, inside = socket.socketpair()
    pidfd = os.pidfd_open(pid)
    with channel:
        inside.sendall(READY)
        _send(theirs, control._BORN.pack(b"B", number, CELL), [channel.fileno(), pidfd][:passed])
    os.close(pidfd)
    return inside


def tell_gone(theirs: socket.socket, number: int) -> None:
    """The end of a child in that network."""
    theirs.send(control._GONE.pack(b"G", number, CELL, 0, 0.0, 0.0, 0, 0))


def _send(theirs: socket.socket, report: bytes, descriptors: Sequence[int]) -> None:
    socket.send_fds(theirs, [report], descriptors)
