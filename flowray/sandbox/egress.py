"""The gate: the only way out of a sandbox, run by the host on a listener that lives in the sandbox's network.

A client inside asks for a host by name, or connects to a door that leads to one. The gate checks the name, resolves it
here, checks every address, connects to one of those, and passes bytes. Nothing is open unless the run's policy has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from flowray.sandbox.doors import Door
from flowray.sandbox.lookups import Lookups, lookup_threads
from flowray.sandbox.policy import Policy, is_address, is_public
from flowray.sandbox.proxy_request import END, MOST_BYTES, BadRequestError, Target, parse
from flowray.sandbox.relay import Caps, Relay, Spent

log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Verdict = Literal["allowed", "refused", "failed", "cut"]
_STATUS = {"refused": "403 Forbidden", "failed": "502 Bad Gateway", "invalid": "400 Bad Request", "busy": "503 Busy"}
_TOO_MANY = "too many connections"
# Beyond what may be open some are heard and answered; beyond this, whoever connects and says nothing would hold the
# host's files.
_HEARD_PER_OPEN = 2
_REST_S = 1.0
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True, kw_only=True)
class Connection:
    """What came of one connection, for the run's journal and the log."""

    host: str
    port: int
    verdict: Verdict
    reason: str
    server_name: str
    up_bytes: int
    down_bytes: int
    took_ms: float


OnConnection = Callable[[Connection], None]


class Gate:
    """Serves any number of sandboxes; each with a policy and a lease of its own."""

    def __init__(self, *, resolve: Resolve | None = None) -> None:
        self._resolve = resolve
        self._threads = lookup_threads()

    def close(self) -> None:
        """Look up nothing more; for a lookup that is under way nobody waits."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def attach(
        self,
        listener: socket.socket,
        policy: Policy,
        on_connection: OnConnection,
        *,
        caps: Caps | None = None,
        doors: Sequence[tuple[Door, socket.socket]] = (),
    ) -> Lease:
        """Accept under this policy, until the lease is closed: requests on the listener, and whoever is at a door.

        The doors' sockets are the lease's from then on.
        """
        lease = Lease(policy, on_connection, caps or Caps(), self._resolve or Lookups(self._threads).addresses)
        # A copy: the zygote's client closes its own when the child ends, and a closed one must not stay in the loop.
        lease.listen(listener.dup())
        for door, own in doors:
            lease.listen(own, Target(host=door.host, port=door.port))
        return lease


class Lease:
    """One step's use of the gate."""

    def __init__(self, policy: Policy, on_connection: OnConnection, caps: Caps, resolve: Resolve) -> None:
        self._listeners: list[tuple[socket.socket, Target | None]] = []
        self._policy = policy
        self._on_connection = on_connection
        self._caps = caps
        self._resolve = resolve
        self._spent = Spent()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._rest: asyncio.TimerHandle | None = None

    def listen(self, listener: socket.socket, target: Target | None = None) -> None:
        """Accept here: connections to this target, or without one those that say their own."""
        self._listeners.append((listener, target))
        listener.setblocking(False)  # noqa: FBT003 - the name of the method says what it means
        self._loop.add_reader(listener.fileno(), self._accept, listener, target)

    def close(self) -> None:
        """Accept no more and cut what is open."""
        if self._closed:
            return
        self._closed = True
        if self._rest is not None:
            self._rest.cancel()
        for listener, _ in self._listeners:
            self._loop.remove_reader(listener.fileno())
            listener.close()
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        """Close, and wait until each connection was told."""
        self.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, listener: socket.socket, target: Target | None) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as cause:
            self._look_away(cause)
            return
        client.setblocking(False)  # noqa: FBT003
        self._spent.connections += 1
        visit = _Visit(client, self._policy, self._caps, self._spent, self._resolve)
        if target is not None:
            visit.enter(target)
        if len(self._tasks) >= _HEARD_PER_OPEN * self._caps.open:
            visit.turn_away()
            self._on_connection(visit.told())
            return
        task = self._loop.create_task(self._serve(client, visit), name="egress connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _look_away(self, cause: OSError) -> None:
        """No file is left, or no memory: a loop that looked on would ask again at once, and do nothing else."""
        log.warning("No connection can be accepted", extra={"action": "gate_rests", "cause": str(cause)})
        for listener, _ in self._listeners:
            self._loop.remove_reader(listener.fileno())
        self._rest = self._loop.call_later(_REST_S, self._look)

    def _look(self) -> None:
        for listener, target in self._listeners:
            self._loop.add_reader(listener.fileno(), self._accept, listener, target)

    async def _serve(self, client: socket.socket, visit: _Visit) -> None:
        busy = len(self._tasks) > self._caps.open or self._spent.connections > self._caps.total
        try:
            await visit.serve(busy=busy)
        finally:
            client.close()
            self._on_connection(visit.told())


class _RefusedError(Exception):
    """The visit ends here: with which status, and why."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Visit:
    """One connection from its first byte to its last."""

    def __init__(self, client: socket.socket, policy: Policy, caps: Caps, spent: Spent, resolve: Resolve) -> None:
        self._client = client
        self._policy = policy
        self._caps = caps
        self._resolve = resolve
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._relay = Relay(caps, spent)
        self._target = Target(host="", port=0)
        self._at_door = False
        self._verdict: Verdict = "cut"
        self._reason = "the run ended"

    def enter(self, target: Target) -> None:
        """The client came through a door: nothing it says decides where it is led."""
        self._target, self._at_door = target, True

    def turn_away(self) -> None:
        """Close it unheard."""
        self._client.close()
        self._verdict, self._reason = "refused", _TOO_MANY

    async def serve(self, *, busy: bool) -> None:
        """Answer the client: by a connection, or by an error that says why not."""
        try:
            early = b"" if self._at_door else await self._request()
            if busy:
                self._answer_busy()
            server = await self._connect(await self._addresses())
            with server:
                await self._pass(server, early)
        except _RefusedError as refused:
            self._verdict, self._reason = ("failed" if refused.status == "failed" else "refused"), refused.reason
            await self._answer(refused)
        except (ConnectionError, TimeoutError) as failure:
            self._verdict, self._reason = "failed", type(failure).__name__
        except OSError as failure:  # the way there is gone, say
            self._verdict, self._reason = "failed", failure.strerror or "OSError"

    def told(self) -> Connection:
        """What came of it."""
        return Connection(
            host=self._target.host,
            port=self._target.port,
            verdict=self._verdict,
            reason=self._reason,
            server_name=self._relay.server_name,
            up_bytes=self._relay.up_bytes,
            down_bytes=self._relay.down_bytes,
            took_ms=(self._loop.time() - self._began_s) * 1000,
        )

    def _answer_busy(self) -> None:
        raise _RefusedError("busy", _TOO_MANY)

    async def _request(self) -> bytes:
        """Read the request; return what the client sent after it."""
        received = bytearray()
        async with asyncio.timeout(self._caps.connect_s):
            while END not in received:
                part = await self._loop.sock_recv(self._client, MOST_BYTES)
                received += part
                if not part or len(received) > MOST_BYTES:
                    raise _RefusedError("invalid", "no request")
        head, _, early = bytes(received).partition(END)
        try:
            self._target = parse(head)
        except BadRequestError as cause:
            raise _RefusedError("invalid", str(cause)) from cause
        return early

    async def _addresses(self) -> Sequence[str]:
        """Where the host is. Each address is checked, and only checked ones are connected to: a name may change."""
        host, port = self._target.host, self._target.port
        if not self._policy.allows(host, port):
            raise _RefusedError("refused", self._policy.why_not(host, port))
        if is_address(host):
            return [host]
        try:
            async with asyncio.timeout(self._caps.connect_s):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError, TimeoutError) as cause:  # names no resolver can be asked for are UnicodeErrors
            raise _RefusedError("failed", f"the host {host} could not be resolved") from cause
        if not self._policy.may_be_private(host, port) and not all(is_public(address) for address in addresses):
            told = f"the host {host}:{port} has an address that is not public, and is not in `private_hosts`"
            raise _RefusedError("refused", f"{told} of this run's pool")
        return addresses

    async def _connect(self, addresses: Sequence[str]) -> socket.socket:
        for address in addresses:
            with contextlib.suppress(OSError, TimeoutError):
                return await self._connected(address)
        raise _RefusedError("failed", f"the host {self._target.host}:{self._target.port} did not answer")

    async def _connected(self, address: str) -> socket.socket:
        server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            server.setblocking(False)  # noqa: FBT003
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._caps.connect_s):
                await self._loop.sock_connect(server, (address, self._target.port))
        except BaseException:
            server.close()
            raise
        return server

    async def _pass(self, server: socket.socket, early: bytes) -> None:
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._target.tunnel:
            if not self._at_door:
                await self._loop.sock_sendall(self._client, _ESTABLISHED)
            self._relay.expect_name(self._target.host, self._target.port)
        else:
            await self._loop.sock_sendall(server, self._target.head)
            self._relay.limit_body(self._target.body_bytes)
        self._verdict = "allowed"
        cut = await self._relay.run(self._client, server, early)
        self._verdict, self._reason = ("cut", cut) if cut else ("allowed", "")

    async def _answer(self, refused: _RefusedError) -> None:
        if self._at_door:
            return  # its protocol is the client's affair; the journal says why it was closed
        text = f"FlowRay: {refused.reason}.\n".encode()
        head = f"HTTP/1.1 {_STATUS[refused.status]}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._caps.connect_s):
                await self._loop.sock_sendall(self._client, head.encode() + b"Connection: close\r\n\r\n" + text)
