"""Orders to a zygote that is too busy to take them, and what hangs on them: how a child ended."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import tempfile

from flowray.sandbox import control
from flowray.sandbox.orders import Orders
from flowray.sandbox.zygote import Zygote
from tests.unit.sandbox.kit import CELL, Ends, born, taken, tell_gone

# More than the socket has room for.
MANY = 1_000


def fill(ours: socket.socket) -> int:
    """How many orders it took."""
    with contextlib.suppress(BlockingIOError):
        for number in range(MANY):
            ours.send(control.keep_cell(number))
    return number


async def test_orders_beyond_what_the_socket_holds_arrive_later_and_in_order(ends: Ends) -> None:
    ours, theirs = ends
    orders, given = Orders(ours), [control.spawn(number) for number in range(MANY)]

    for order in given:
        orders.give(order)

    assert await asyncio.wait_for(taken(theirs, MANY), 5) == given


async def test_a_child_that_ends_while_the_socket_is_full_is_told_of_and_its_network_kept(
    ends: Ends, process: subprocess.Popen[bytes]
) -> None:
    ours, theirs = ends
    with tempfile.TemporaryFile() as log:
        zygote = Zygote(process, ours, log)
        child = await born(zygote, theirs, process.pid)
        room = fill(ours)
        tell_gone(theirs, 1)

        end = await asyncio.wait_for(child.wait(), 5)
        orders = await asyncio.wait_for(taken(theirs, room + 1), 5)

        child.close()
        process.kill()
        await zygote.stop()
    assert end.code == 0
    assert orders[-1] == control.keep_cell(CELL)
