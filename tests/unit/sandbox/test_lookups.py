"""Names whose servers do not answer: they hold up the step that asked for them, and nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from flowray.sandbox.egress import Gate
from flowray.sandbox.lookups import Lookups
from flowray.sandbox.policy import Policy

POLICY = Policy(("*.example.org",))
ADDRESS = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))


class NameServers:
    """They answer, but for names that begin with `mute`: there they wait until they are told to fail."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fail = threading.Event()
        self._asked = threading.Semaphore(0)

    def find(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if not host.startswith("mute"):
            return [ADDRESS]
        self.asked.append(host)
        self._asked.release()
        self.fail.wait(30)
        raise socket.gaierror("nobody answers")

    async def were_asked(self, times: int) -> None:
        """Wait on a thread of one's own: the others may be taken."""
        with ThreadPoolExecutor(1) as waiting:
            for _ in range(times):
                asked = asyncio.get_running_loop().run_in_executor(waiting, partial(self._asked.acquire, timeout=5))
                assert await asked


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers.find)
    yield servers
    servers.fail.set()


async def asked_for(gate: Gate, host: str) -> str:
    """What a step of its own is told when it asks for this host."""
    told: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lease = gate.attach(listener, POLICY, lambda connection: told.append(connection.reason))
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(f"CONNECT {host}:443 HTTP/1.1\r\n\r\n".encode())
        await asyncio.wait_for(reader.read(), 5)
        writer.close()
        await lease.end()
    return told[0]


async def test_a_name_that_no_server_answers_for_holds_up_nobody_else(servers: NameServers) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    gate = Gate()
    mute = asyncio.create_task(asked_for(gate, "mute.example.org"))
    await servers.were_asked(1)

    assert "not public" in await asked_for(gate, "a.example.org")
    await asyncio.wait_for(asyncio.to_thread(int), 5)

    servers.fail.set()
    assert "could not be resolved" in await mute
    gate.close()


async def test_a_lookup_of_a_step_counts_until_its_thread_is_done(servers: NameServers) -> None:
    with ThreadPoolExecutor(8) as threads:
        lookups = Lookups(threads)
        left = [asyncio.create_task(lookups.addresses(f"mute{number}", 443)) for number in range(8)]
        await servers.were_asked(3)
        for wait in left:
            wait.cancel()
        await asyncio.wait(left)

        patient = asyncio.create_task(lookups.addresses("a.example.org", 443))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not patient.done()

        servers.fail.set()
        assert await asyncio.wait_for(patient, 5) == ["127.0.0.1"]
        assert servers.asked == ["mute0", "mute1", "mute2"]


async def test_a_lookup_that_nobody_waits_for_before_it_has_a_thread_is_never_made(servers: NameServers) -> None:
    with ThreadPoolExecutor(1) as threads:
        lookups = Lookups(threads)
        first, second = (asyncio.create_task(lookups.addresses(host, 443)) for host in ("mute1", "mute2"))
        await servers.were_asked(1)
        second.cancel()
        await asyncio.wait([second])

        servers.fail.set()
        with pytest.raises(socket.gaierror):
            await first
        assert await asyncio.wait_for(lookups.addresses("a.example.org", 443), 5) == ["127.0.0.1"]
        assert servers.asked == ["mute1"]
