"""Bytes through the gate: whatever comes before both ends are there arrives, on asyncio's own loop and on Ray's."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from flowray.sandbox.relay import Caps, Relay, Spent

_RESET = struct.pack("ii", 1, 0)
Loop = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Loop:
    made: Loop = request.param
    return made


def run(loop: Loop, work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(work, 5))


def ends() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.settimeout(0)
    other.settimeout(0)
    return one, other


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.settimeout(0)
    return near, far


async def everything(sock: socket.socket) -> bytes:
    received = b""
    while part := await asyncio.get_running_loop().sock_recv(sock, 4096):
        received += part
    return received


def test_a_server_that_answered_and_left_before_the_relay_began_is_heard(loop: Loop) -> None:
    async def work() -> None:
        client, inside = ends()
        outside, server = connected()
        server.sendall(b"hello")
        server.close()

        relaying = asyncio.create_task(Relay(Caps(), Spent()).run(inside, outside, b""))

        with client:
            assert await everything(client) == b"hello"
        assert await relaying == ""

    run(loop, work())


def test_what_a_client_sent_early_comes_before_what_it_sent_meanwhile(loop: Loop) -> None:
    async def work() -> None:
        client, inside = ends()
        outside, server = ends()
        client.sendall(b"second")
        client.shutdown(socket.SHUT_WR)

        relaying = asyncio.create_task(Relay(Caps(), Spent()).run(inside, outside, b"first "))

        with client, server:
            assert await everything(server) == b"first second"
            server.close()
            assert await relaying == ""

    run(loop, work())


def test_a_server_that_reset_before_the_relay_began_ends_it(loop: Loop) -> None:
    async def work() -> None:
        client, inside = ends()
        outside, server = connected()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        server.close()

        relaying = asyncio.create_task(Relay(Caps(), Spent()).run(inside, outside, b"hello"))

        with client:
            assert await everything(client) == b""
        assert await relaying == ""

    run(loop, work())


@pytest.mark.parametrize("turns", range(1, 9))
def test_a_relay_that_is_left_at_any_moment_lets_go_of_both_ends(loop: Loop, turns: int) -> None:
    async def work() -> None:
        client, inside = ends()
        outside, server = connected()
        server.settimeout(0)
        relaying = asyncio.create_task(Relay(Caps(), Spent()).run(inside, outside, b""))
        for _ in range(turns):
            await asyncio.sleep(0)

        relaying.cancel()
        await asyncio.wait([relaying])

        # The gate closes its own two then: nobody else may keep them open.
        inside.close()
        outside.close()
        with client, server:
            assert await everything(client) == b""
            assert await everything(server) == b""

    run(loop, work())


class Slow(asyncio.Transport):
    """Takes what it is given, and wants no more."""

    def __init__(self, side: Any) -> None:
        super().__init__()
        self._side = side
        self.reads = True

    def write(self, data: object) -> None:
        self._side.pause_writing()

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return False


async def test_a_server_that_speaks_early_waits_until_its_client_takes_more() -> None:
    relay = Relay(Caps(), Spent())
    client, server = Slow(relay.inside), Slow(relay.outside)
    relay.outside.connection_made(server)
    server.resume_reading()  # as uvloop does
    relay.outside.data_received(b"a lot")
    assert not server.reads
    relay.inside.connection_made(client)

    relay.inside.begin()
    relay.outside.begin()

    assert (client.reads, server.reads) == (True, False)
    relay.inside.resume_writing()
    assert server.reads
