"""What the HAProxy in front answers when no gateway does: problem documents, as gateways answer them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Final

from flowray_serve.problem_document import MEDIA_TYPE, problem_document

_AGAIN_IN_S: Final = 2
_LOST: Final = (
    "The gateway that had this request ended before it answered. What it accepted to run in the background goes on; "
    "a synchronous run ends as `lost`, as its journal says. Look before you ask again."
)
_NOT_READY: Final = (
    "No gateway is ready: the service is starting, or starting again. Nothing was done; ask again in a moment."
)
_SILENT: Final = (
    "The gateway did not answer in time. What it accepted to run goes on: look at the runs before you ask again."
)
_ANSWERS: Final[Mapping[HTTPStatus, tuple[str, str]]] = {
    HTTPStatus.BAD_GATEWAY: ("gateway_lost", _LOST),
    HTTPStatus.SERVICE_UNAVAILABLE: ("no_gateway", _NOT_READY),
    HTTPStatus.GATEWAY_TIMEOUT: ("gateway_silent", _SILENT),
}


def write_answers(folder: Path) -> Mapping[int, Path]:
    """Write them, as HAProxy wants its `errorfile`s: whole HTTP responses; their paths by status."""
    paths = {}
    for status, (code, detail) in _ANSWERS.items():
        paths[int(status)] = folder / f"{code}.http"
        paths[int(status)].write_bytes(_response(status, code, detail))
    return paths


def _response(status: HTTPStatus, code: str, detail: str) -> bytes:
    document = problem_document(int(status), code, detail, fault="service")
    body = json.dumps(document, separators=(",", ":"))
    again = f"Retry-After: {_AGAIN_IN_S}\r\n" if status is HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n{again}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode("ascii")
