"""The sandbox's end of its channel: frames come as they like, together or in pieces."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from flowray_sandbox.channel import BLOB_IN, CANCEL, PART_IN, SPEC, Channel, ChannelBrokenError, frame
from flowray_sandbox.loop import LateLoop


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    host, inside = socket.socketpair()
    with host, inside:
        yield host, Channel(inside)


@pytest.fixture
def loop() -> Iterator[LateLoop]:
    loop = LateLoop()
    yield loop
    loop.close()


def test_what_comes_together_is_read_one_by_one(ends: tuple[socket.socket, Channel]) -> None:
    host, channel = ends
    host.sendall(frame(BLOB_IN, b"one") + frame(PART_IN, b"tw") + frame(BLOB_IN, b"o") + frame(SPEC, b'{"a": 1}'))

    assert channel.read_spec() == ({"a": 1}, [b"one", b"two"])


def test_what_comes_in_pieces_is_put_together(ends: tuple[socket.socket, Channel]) -> None:
    host, channel = ends
    large = bytes(300_000)
    data = frame(BLOB_IN, large) + frame(SPEC, b"{}")

    def send() -> None:
        for at in range(0, len(data), 70_001):
            host.sendall(data[at : at + 70_001])

    sending = threading.Thread(target=send)
    sending.start()

    assert channel.read_spec() == ({}, [large])
    sending.join()


def test_a_cancellation_that_comes_with_the_spec_is_heard(ends: tuple[socket.socket, Channel], loop: LateLoop) -> None:
    host, channel = ends
    host.sendall(frame(SPEC, b"{}") + frame(CANCEL, b""))
    channel.read_spec()
    work = loop.create_task(asyncio.sleep(60))
    channel.listen(loop, work.cancel)

    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(work)


def test_a_host_that_hangs_up_amid_a_frame_breaks_the_channel(ends: tuple[socket.socket, Channel]) -> None:
    host, channel = ends
    host.sendall(frame(SPEC, b"{}")[:-1])
    host.shutdown(socket.SHUT_WR)

    with pytest.raises(ChannelBrokenError):
        channel.read_spec()
