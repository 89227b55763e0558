"""What HTTP clients hear, recorded or played: at the clients themselves, since behind TLS nobody else can read it.

httpx, which the providers' clients stand on, and requests. Answers are read whole before they are handed on, so a
recorded stream comes at once. Of a question only a digest is kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx
import requests
from requests.adapters import HTTPAdapter

from flowray_sandbox import outside
from flowray_sandbox.report import running_node

_UNSAID = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})
_turns: Counter[str] = Counter()
_async_transport: Any = httpx.AsyncHTTPTransport
_transport: Any = httpx.HTTPTransport
_adapter: Any = HTTPAdapter


def install(mode: str) -> None:
    """Record or play from now on; any other mode leaves the clients as they are."""
    if mode == "record":
        _record()
    elif mode == "play":
        _play()


def _record() -> None:
    handle_async, handle, send = _async_transport.handle_async_request, _transport.handle_request, _adapter.send

    async def record_async(self: Any, request: httpx.Request) -> httpx.Response:
        place = _place(request.method, str(request.url), await request.aread())
        response = await handle_async(self, request)
        content = await response.aread()
        await response.aclose()
        _tell(place, response.status_code, response.headers, content)
        return _response(response.status_code, response.headers, content, request)

    def record(self: Any, request: httpx.Request) -> httpx.Response:
        place = _place(request.method, str(request.url), request.read())
        response = handle(self, request)
        content = response.read()
        response.close()
        _tell(place, response.status_code, response.headers, content)
        return _response(response.status_code, response.headers, content, request)

    def record_requests(self: Any, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        place = _place(request.method or "", request.url or "", _bytes(request.body))
        response: requests.Response = send(self, request, *args, **options)
        _tell(place, response.status_code, response.headers, response.content)
        return response

    _async_transport.handle_async_request = record_async
    _transport.handle_request = record
    _adapter.send = record_requests


def _play() -> None:
    async def play_async(_: Any, request: httpx.Request) -> httpx.Response:
        place = _place(request.method, str(request.url), await request.aread())
        said, content = await outside.find("tape.find", **place)
        return _response(said["status"], said["headers"], content, request)

    def play(_: Any, request: httpx.Request) -> httpx.Response:
        said, content = outside.find_now("tape.find", **_place(request.method, str(request.url), request.read()))
        return _response(said["status"], said["headers"], content, request)

    def play_requests(_: Any, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        del args, options
        place = _place(request.method or "", request.url or "", _bytes(request.body))
        said, content = outside.find_now("tape.find", **place)
        response: Any = requests.Response()
        response.status_code, response.url, response.request = said["status"], request.url, request
        response.headers.update(_kept(said["headers"]))
        response._content = content  # noqa: SLF001 - the way that adapters fill it, without a stream
        response.encoding = requests.utils.get_encoding_from_headers(response.headers)
        return response  # type: ignore[no-any-return]

    _async_transport.handle_async_request = play_async
    _transport.handle_request = play
    _adapter.send = play_requests


def _place(method: str, url: str, body: bytes) -> dict[str, Any]:
    """Where an exchange stands on the tape: the node, what was asked, and the how manieth time."""
    node = running_node.get()
    key = hashlib.sha256(b"\0".join((node.encode(), method.encode(), url.encode(), body))).hexdigest()
    _turns[key] += 1
    return {"key": key, "turn": _turns[key], "asked": f"{method} {url}"[:500]}


def _tell(place: Mapping[str, Any], status: int, headers: Mapping[str, str], content: bytes) -> None:
    outside.tell("tape", blob=content, **place, status=status, headers=_kept(headers))


def _response(status: int, headers: Mapping[str, str], content: bytes, request: httpx.Request) -> httpx.Response:
    return httpx.Response(status, headers=_kept(headers), content=content, request=request)


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _UNSAID}


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    return body if isinstance(body, bytes) else str(body).encode()
