"""A real server under abuse: everything is bounded and answered, and the next request is served."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.types import ASGIApp

from flowray_serve.auth import OpenRequests
from flowray_serve.bounds import Bounds, HeadLimits
from tests.kit.server import serving
from tests.unit.serve.service import KEY, service

QUICK = HeadLimits(body_s=0.3, body_bytes_per_s=1_000_000)
HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The whole application, with less patience than it has by itself."""
    app: ASGIApp = Bounds(service().app, limits=QUICK)
    with serving(app, host=HOST) as url:
        yield url


def head(*lines: str, path: str = "/api/v1/flows/") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", f"x-api-key: {KEY}", *lines, "", ""]).encode()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(HOST, httpx.URL(url).port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, object]]:
    async with asyncio.timeout(10):
        said = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in said.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(said.split()[1]), json.loads(await reader.readexactly(length))


async def still_serves(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": KEY}) as http:
        return (await http.get("/api/v1/runs")).status_code == 200


async def test_a_body_that_never_ends_is_answered_in_time(url: str) -> None:
    async with connected(url) as (reader, writer):
        writer.write(head("content-length: 1000") + b"{")
        status, problem = await answer(reader)
    assert (status, problem["code"]) == (408, "body_too_slow")
    assert await still_serves(url)


async def test_many_slow_bodies_hold_up_nobody(url: str) -> None:
    async def slow() -> int:
        async with connected(url) as (reader, writer):
            writer.write(head("transfer-encoding: chunked") + b"1\r\n{\r\n")
            return (await answer(reader))[0]

    slow_ones = [asyncio.create_task(slow()) for _ in range(50)]
    assert await still_serves(url)
    assert set(await asyncio.gather(*slow_ones)) == {408}


async def test_a_head_of_many_headers_is_refused(url: str) -> None:
    async with connected(url) as (reader, writer):
        writer.write(head(*(f"x-{number}: y" for number in range(200)), "content-length: 0"))
        status, problem = await answer(reader)
    assert (status, problem["code"]) == (431, "head_too_large")


async def test_a_huge_header_is_refused_by_whoever_sees_it_first(url: str) -> None:
    async with connected(url) as (reader, writer):
        writer.write(head("x-big: " + "y" * 60_000, "content-length: 0"))
        async with asyncio.timeout(10):
            assert int((await reader.readline()).split()[1]) in (400, 431)
    assert await still_serves(url)


async def test_a_compressed_body_is_not_unpacked_to_find_out_how_much_it_is(url: str) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": KEY, "content-encoding": "gzip"}) as http:
        refused = await http.post("/api/v1/flows/", content=bomb)
    assert (refused.status_code, refused.json()["code"]) == (415, "encoding_unsupported")


async def test_an_upload_beyond_its_limit_is_refused_whatever_it_announces(url: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 1_000_000

    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": KEY}, timeout=30) as http:
        refused = await http.post("/api/v1/run/some", content=endless())
    assert (refused.status_code, refused.json()["code"]) == (413, "request_too_large")


async def test_what_is_no_http_is_answered_or_hung_up_on(url: str) -> None:
    for noise in (b"\x16\x03\x01" + b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1_000 + b"x\r\n\r\n"):
        with socket.create_connection((HOST, httpx.URL(url).port or 0), timeout=10) as connection:
            connection.sendall(noise)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(100)[:12] in (b"HTTP/1.1 400", b"")
    assert await still_serves(url)


async def test_no_tenant_has_more_requests_open_than_it_may() -> None:
    from flowray_serve.auth.open_requests import TooManyOpenError

    open_requests = OpenRequests(per_tenant=2)
    with open_requests.one_of("acme"), open_requests.one_of("acme"):
        with pytest.raises(TooManyOpenError), open_requests.one_of("acme"):
            pass
        with open_requests.one_of("other"):
            pass
    with open_requests.one_of("acme"):
        pass
