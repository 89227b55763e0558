"""Orders to a zygote that is too busy to take them, and what hangs on them: how a child ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from flowray.sandbox import control
from flowray.sandbox.child import Child
from flowray.sandbox.orders import Orders
from flowray.sandbox.zygote import Zygote

# More than the socket has room for.
MANY = 1_000
CELL = 7
READY = b'\0\0\0\t\x10{"pid":1}'


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.settimeout(0)
    theirs.settimeout(0)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as started:
        yield started
        started.kill()


async def taken(theirs: socket.socket, number: int) -> list[bytes]:
    return [await asyncio.get_running_loop().sock_recv(theirs, 100) for _ in range(number)]


def fill(ours: socket.socket) -> int:
    """How many orders it took."""
    with contextlib.suppress(BlockingIOError):
        for number in range(MANY):
            ours.send(control.keep_cell(number))
    return number


async def born(zygote: Zygote, theirs: socket.socket, pid: int) -> Child:
    """A child, as a zygote announces it: its network, then its channel with its first words on it."""
    spawning = asyncio.create_task(zygote.spawn())
    await taken(theirs, 1)
    channel, far = socket.socketpair()
    pidfd = os.pidfd_open(pid)
    with channel, far, socket.create_server(("127.0.0.1", 0)) as listener:
        far.sendall(READY)
        socket.send_fds(theirs, [control._CELL.pack(b"C", CELL)], [listener.fileno()])
        socket.send_fds(theirs, [control._BORN.pack(b"B", 1, CELL)], [channel.fileno(), pidfd])
        os.close(pidfd)
        return await spawning


async def test_orders_beyond_what_the_socket_holds_arrive_later_and_in_order(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    orders, given = Orders(ours), [control.spawn(number) for number in range(MANY)]

    for order in given:
        orders.give(order)

    assert await asyncio.wait_for(taken(theirs, MANY), 5) == given


async def test_a_child_that_ends_while_the_socket_is_full_is_told_of_and_its_network_kept(
    ends: tuple[socket.socket, socket.socket], process: subprocess.Popen[bytes]
) -> None:
    ours, theirs = ends
    with tempfile.TemporaryFile() as log:
        zygote = Zygote(process, ours, log)
        child = await born(zygote, theirs, process.pid)
        room = fill(ours)
        theirs.send(control._GONE.pack(b"G", 1, CELL, 0, 0.0, 0.0, 0, 0))

        end = await asyncio.wait_for(child.wait(), 5)
        orders = await asyncio.wait_for(taken(theirs, room + 1), 5)

        child.close()
        process.kill()
        await zygote.stop()
    assert end.code == 0
    assert orders[-1] == control.keep_cell(CELL)
