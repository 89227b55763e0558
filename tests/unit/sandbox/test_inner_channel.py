"""The sandbox's end of its channel: frames come as they like, together or in pieces."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flowray_sandbox.channel import (
    BLOB_IN,
    CANCEL,
    EVENT,
    PART,
    PART_BYTES,
    PART_IN,
    RESULT,
    SPEC,
    Channel,
    ChannelBrokenError,
    frame,
)
from flowray_sandbox.loop import LateLoop


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    host, inside = socket.socketpair()
    with host, inside:
        yield host, Channel(inside)


class Finalised(socket.socket):
    """While it sends, the collector runs and a finaliser says something."""

    says: Callable[[], None] | None = None

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send, a half before the finaliser and a half after it."""
        says, self.says = self.says, None
        middle = len(data) // 2
        super().sendall(data[:middle], flags)
        if says is not None:
            says()
        super().sendall(data[middle:], flags)


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


@pytest.mark.timeout(20)
def test_what_a_finaliser_says_amid_a_frame_follows_it_whole() -> None:
    host, inside = socket.socketpair()
    with host, inside, Finalised(fileno=inside.detach()) as sending, ThreadPoolExecutor() as reader:
        heard = reader.submit(host.makefile("rb").read)
        channel = Channel(sending)
        sending.says = lambda: channel.event({"said": "by a finaliser"})

        channel.tell("keep", {"text": "x" * PART_BYTES})
        channel.finish(RESULT, {})

        told = heard.result()
    head = frame(PART, bytes(PART_BYTES))[:5]
    assert told.startswith(head)
    assert told.endswith(frame(EVENT, b'{"said":"by a finaliser"}') + frame(RESULT, b"{}"))


@pytest.mark.timeout(20)
def test_a_thread_that_holds_what_a_finaliser_wants_is_not_waited_for() -> None:
    host, inside = socket.socketpair()
    wanted = threading.Lock()
    with host, inside, Finalised(fileno=inside.detach()) as sending, ThreadPoolExecutor() as other:
        channel = Channel(sending)

        def say_and_let_go() -> None:
            channel.event({"n": 2})
            wanted.release()

        def finalise() -> None:
            wanted.acquire()
            said = other.submit(say_and_let_go)
            with wanted:
                said.result()

        sending.says = finalise
        channel.tell("one", {})
        channel.flush()
        channel.finish(RESULT, {})

        told = host.makefile("rb").read()
    assert told.endswith(frame(EVENT, b'{"n":2}') + frame(RESULT, b"{}"))
