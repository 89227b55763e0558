"""What a client is answered, and the journal told, when the gate cannot lead it where it wants to go."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from flowray.sandbox import egress
from flowray.sandbox.egress import Connection, Gate, Lease, Resolve
from flowray.sandbox.policy import Policy
from flowray.sandbox.relay import Caps

POLICY = Policy(("*.example.org",))
REST_S = 0.01


async def asked_for(
    host: str, resolve: Resolve | None = None, *, port: int = 443, policy: Policy = POLICY
) -> tuple[bytes, Connection]:
    """What a client that asked for this host was answered, and what was told of it."""
    told: list[Connection] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lease = Gate(resolve=resolve).attach(listener, policy, told.append)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await lease.end()
    return answer, told[0]


@pytest.mark.parametrize("host", ["a..example.org", f"{'a' * 64}.example.org"])
async def test_a_name_that_no_resolver_takes_is_one_that_cannot_be_resolved(host: str) -> None:
    answer, told = await asked_for(host)

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert (told.verdict, told.reason) == ("failed", f"the host {host} could not be resolved")


async def test_a_way_that_is_gone_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise OSError(errno.EHOSTUNREACH, "No route to host")

    monkeypatch.setattr("flowray.sandbox.relay.Relay.run", gone)
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        here = Policy((f"{host}:{port}",), (f"{host}:{port}",))
        _, told = await asked_for(host, port=port, policy=here)

    assert (told.verdict, told.reason) == ("failed", "No route to host")


async def test_a_host_for_which_no_socket_is_left_did_not_answer() -> None:
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def last_file(host: str, port: int) -> Sequence[str]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        return ["1.1.1.1"]

    try:
        answer, told = await asked_for("a.example.org", last_file)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert (told.verdict, told.reason) == ("failed", "the host a.example.org:443 did not answer")


async def test_clients_that_say_nothing_are_closed_when_there_are_too_many_of_them() -> None:
    told: list[Connection] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lease = Gate().attach(listener, POLICY, told.append, caps=Caps(open=2))
        clients = [await asyncio.open_connection(*listener.getsockname()) for _ in range(7)]

        for reader, _ in clients[4:]:
            assert await asyncio.wait_for(reader.read(), 5) == b""

        assert [(one.verdict, one.reason) for one in told] == [("refused", "too many connections")] * 3
        await lease.end()
    for _, writer in clients:
        writer.close()
    assert len(told) == len(clients)


class Files:
    """How many connections there are files for, and how often one was asked for."""

    def __init__(self) -> None:
        self.left = self.asked = 0
        self.was_asked = asyncio.Event()


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    files, accept = Files(), socket.socket.accept

    def accepted(listener: socket.socket) -> tuple[socket.socket, Any]:
        files.asked += 1
        files.was_asked.set()
        if files.asked > files.left:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", accepted)
    return files


@asynccontextmanager
async def client_for_whom_no_file_is_left(files: Files) -> AsyncIterator[tuple[Lease, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lease = Gate().attach(listener, POLICY, lambda _: None)
        with socket.create_connection(listener.getsockname()) as client:
            client.settimeout(0)
            await asyncio.wait_for(files.was_asked.wait(), 5)
            yield lease, client
        await lease.end()


async def test_a_gate_that_may_open_no_files_does_not_ask_again_at_once(files: Files) -> None:
    async with client_for_whom_no_file_is_left(files):
        for _ in range(10):
            await asyncio.sleep(0)

        assert files.asked == 1


async def test_a_gate_that_may_open_files_again_accepts_who_waits(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "_REST_S", 0.0)
    loop = asyncio.get_running_loop()

    async with client_for_whom_no_file_is_left(files) as (_, client):
        files.left = 1000
        await loop.sock_sendall(client, b"CONNECT other.test:443 HTTP/1.1\r\n\r\n")

        assert (await asyncio.wait_for(loop.sock_recv(client, 1000), 5)).startswith(b"HTTP/1.1 403 ")


async def test_a_gate_that_is_closed_while_it_rests_asks_nobody_any_more(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress, "_REST_S", REST_S)
    crashes: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, crash: crashes.append(crash))

    async with client_for_whom_no_file_is_left(files) as (lease, _):
        lease.close()
        asked = files.asked
        await asyncio.sleep(REST_S)  # it would be over before

    assert (files.asked, crashes) == (asked, [])
