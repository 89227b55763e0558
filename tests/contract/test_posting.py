"""Callbacks over real connections: to listed hosts, and to nothing else that is private."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from flowray.errors import FlowRayError
from flowray_serve.queueing.callbacks import CallbackRefusedError
from flowray_serve.queueing.posting import VettedPost
from tests.kit.server import serving


class Receiver:
    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, str]] = []
        self.url = ""

    async def take(self, request: Request) -> Response:
        self.got.append((request.headers["host"], await request.body(), request.headers["webhook-id"]))
        return Response(status_code=204)

    async def elsewhere(self, _: Request) -> Response:
        return RedirectResponse(f"{self.url}/take")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    routes = [Route("/take", made.take, methods=["POST"]), Route("/moved", made.elsewhere, methods=["POST"])]
    with serving(Starlette(routes=routes)) as url:
        made.url = url
        yield made


async def test_a_listed_host_gets_the_post_under_its_own_name(receiver: Receiver) -> None:
    port = receiver.url.rpartition(":")[2]
    post = VettedPost([f"127.0.0.2:{port}"])
    assert await post(f"{receiver.url}/take", b"{}", {"webhook-id": "run-1"}) == 204
    assert receiver.got == [(f"127.0.0.2:{port}", b"{}", "run-1")]
    await post.close()


async def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    post = VettedPost([receiver.url.removeprefix("http://")])
    assert await post(f"{receiver.url}/moved", b"{}", {"webhook-id": "run-1"}) == 307
    assert receiver.got == []
    await post.close()


@pytest.mark.parametrize("host", ["127.0.0.2", "localhost", "no-such-host.invalid"])
async def test_what_is_private_or_nowhere_is_not_posted_to(receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    post = VettedPost()
    with pytest.raises(CallbackRefusedError):
        await post(f"http://{host}:{port}/take", b"{}", {"webhook-id": "run-1"})
    assert receiver.got == []
    await post.close()


async def test_a_name_that_is_not_ascii_is_posted_to_as_resolvers_know_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(receiver.url.rpartition(":")[2])
    asked: list[str] = []

    async def found(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    post = VettedPost([f"xn--bcher-kva.example:{port}"])
    assert await post(f"http://bücher.example:{port}/take", b"{}", {"webhook-id": "run-1"}) == 204
    assert asked == ["xn--bcher-kva.example"]
    assert [host for host, *_ in receiver.got] == [f"xn--bcher-kva.example:{port}"]
    await post.close()


@pytest.mark.parametrize(
    "url", ["https://a..example.com/", f"https://{'a' * 64}.example.com/", "https://example.com/\x7f", "https://[x"]
)
async def test_what_can_be_no_address_is_refused_like_a_host_that_is_away(url: str) -> None:
    post = VettedPost()
    with pytest.raises(FlowRayError):
        await post(url, b"{}", {"webhook-id": "run-1"})
    await post.close()
