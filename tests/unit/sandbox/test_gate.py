"""What a client is answered, and the journal told, when the gate cannot lead it where it wants to go."""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Sequence

import pytest

from flowray.sandbox.egress import Connection, Gate, Resolve
from flowray.sandbox.policy import Policy

POLICY = Policy(("*.example.org",))


async def asked_for(host: str, resolve: Resolve | None = None) -> tuple[bytes, Connection]:
    """What a client that asked for this host was answered, and what was told of it."""
    told: list[Connection] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lease = Gate(resolve=resolve).attach(listener, POLICY, told.append)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await lease.end()
    return answer, told[0]


@pytest.mark.parametrize("host", ["a..example.org", f"{'a' * 64}.example.org"])
async def test_a_name_that_no_resolver_takes_is_one_that_cannot_be_resolved(host: str) -> None:
    answer, told = await asked_for(host)

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert (told.verdict, told.reason) == ("failed", f"the host {host} could not be resolved")


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
