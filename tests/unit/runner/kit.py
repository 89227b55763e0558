"""Sandboxes that are tasks of the test: real sockets and frames, no walls and no processes."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import orjson

from flowray.engine.values import Ref
from flowray.errors import NotFoundError, SandboxUnavailableError
from flowray.runner import frames
from flowray.runner.frames import frame
from flowray.sandbox.child import Exit
from flowray.sandbox.limits import Limits

HEAD_BYTES = 5


class Peer:
    """The inside of a fake sandbox, as its script uses it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.blobs: list[bytes] = []

    async def spec(self) -> dict[str, Any]:
        parts = b""
        while True:
            kind, payload = await self.frame()
            if kind == frames.SPEC:
                return dict(orjson.loads(payload))
            parts += payload
            if kind == frames.BLOB_DOWN:
                self.blobs.append(parts)
                parts = b""

    async def frame(self) -> tuple[int, bytes]:
        head = await self._exactly(HEAD_BYTES)
        return head[4], await self._exactly(int.from_bytes(head[:4], "big"))

    async def event(self, kind: str, node: str = "a", **facts: Any) -> None:
        await self.send(frame(frames.EVENT, orjson.dumps({"kind": kind, "node": node, **facts})))

    async def result(self, **facts: Any) -> None:
        await self.send(frame(frames.RESULT, orjson.dumps(facts)))

    async def error(self, **facts: Any) -> None:
        await self.send(frame(frames.ERROR, orjson.dumps(facts)))

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    def hang_up(self) -> None:
        self._sock.shutdown(socket.SHUT_RDWR)

    async def forever(self) -> None:
        await asyncio.Event().wait()

    async def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = await self._loop.sock_recv(self._sock, size - len(data))
            if not more:
                raise EOFError
            data += more
        return data


Script = Callable[[Peer], Awaitable[Exit | None]]


class FakeSandbox:
    def __init__(self, script: Script) -> None:
        self.sock, self._inside = socket.socketpair()
        self.sock.settimeout(0)
        self._inside.settimeout(0)
        self.born = time.monotonic()
        self.used_gate = False
        self._exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(script))
        self._task.add_done_callback(self._ended)

    @property
    def alive(self) -> bool:
        return not self._exit.done()

    clock_s = 0.25

    @property
    def cpu_s(self) -> float:
        return self.clock_s

    @property
    def peak_mib(self) -> float:
        return 12.5

    # Where those listen that have a network.
    listener: socket.socket | None = None

    @property
    def gate(self) -> socket.socket:
        assert self.listener is not None, "no network was granted"
        return self.listener

    def hold(self, limits: Limits) -> None:
        self.held = limits

    async def listen(self, doors: Sequence[tuple[str, int]]) -> Sequence[socket.socket]:
        raise AssertionError(f"no network was granted, and so no {doors}")

    def kill(self) -> None:
        self._task.cancel()

    def close(self) -> None:
        self.kill()
        self.sock.close()

    async def wait(self) -> Exit:
        return await asyncio.shield(self._exit)

    async def _live(self, script: Script) -> None:
        end: Exit | None = None
        try:
            end = await script(Peer(self._inside))
        except asyncio.CancelledError:
            end = died_of(signal.SIGKILL)
        except (EOFError, OSError):
            end = exited(1)
        finally:
            self._inside.close()
            self._exit.set_result(end or exited(0))

    def _ended(self, _: object) -> None:
        """Also when it was killed before it had begun."""
        self._inside.close()
        if not self._exit.done():
            self._exit.set_result(died_of(signal.SIGKILL))


class FakeNursery:
    """Spawns sandboxes that follow a script; `script` may be changed between spawns."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.closed = asyncio.Event()
        self.spawned: list[FakeSandbox] = []
        self.refuses = False
        self.awake = asyncio.Event()
        self.awake.set()

    async def spawn(self) -> FakeSandbox:
        if self.refuses or self.closed.is_set():
            raise SandboxUnavailableError("no more children")
        await asyncio.sleep(0)
        await self.awake.wait()
        self.spawned.append(FakeSandbox(self.script))
        return self.spawned[-1]

    async def stop(self) -> None:
        self.die()
        await asyncio.gather(*(sandbox.wait() for sandbox in self.spawned))
        for sandbox in self.spawned:
            sandbox.sock.close()

    def die(self) -> None:
        self.closed.set()
        for sandbox in self.spawned:
            sandbox.kill()


class FakeObjects:
    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes) -> Ref:
        self.stored[key] = data
        return Ref(key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest())

    async def get(self, key: str) -> bytes:
        if key not in self.stored:
            raise NotFoundError(f"There is no object {key}.")
        return self.stored[key]


def exited(code: int) -> Exit:
    return Exit(code=code, signal=None, cpu_s=0.01, max_rss_mib=30.0)


def died_of(number: int, *, cpu_s: float = 0.01) -> Exit:
    return Exit(code=None, signal=number, cpu_s=cpu_s, max_rss_mib=30.0)
