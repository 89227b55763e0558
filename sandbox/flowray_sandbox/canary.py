"""Runs a piece of Python inside the walls and tells what came of it: for the start-up probe, tests and benchmarks.

It speaks the same channel as a run, so what holds for a canary holds for a component.
"""

from __future__ import annotations

import json
import os
import struct
import traceback
from collections.abc import Callable, Mapping
from typing import Any

_HEADER = struct.Struct(">IB")
_SPEC, _RESULT, _ERROR = 1, 22, 23


def serve(channel: int, on_spec: Callable[[Mapping[str, Any]], None]) -> None:
    """Wait for one spec, execute its `code`, answer with what it bound to `result`, and end the process."""
    kind, payload = _read(channel)
    if kind != _SPEC:
        os._exit(71)
    spec = json.loads(payload)
    on_spec(spec)
    names: dict[str, Any] = {"result": None, "spec": spec}
    try:
        exec(spec["code"], names)  # noqa: S102 - that is its purpose
        _write(channel, _RESULT, {"result": names["result"]})
    except BaseException as failure:  # noqa: BLE001 - told to the host
        kind_of_error = type(failure).__name__
        told = {"kind": "component", "error": str(failure), "error_type": kind_of_error, "node": None}
        _write(channel, _ERROR, {**told, "traceback": traceback.format_exc()})
    os._exit(0)


def _read(channel: int) -> tuple[int, bytes]:
    size, kind = _HEADER.unpack(_exactly(channel, _HEADER.size))
    return kind, _exactly(channel, size)


def _exactly(channel: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(channel, size - len(parts))
        if not part:
            os._exit(0)  # the host dropped this spare
        parts += part
    return bytes(parts)


def _write(channel: int, kind: int, message: Mapping[str, Any]) -> None:
    payload = json.dumps(message, default=repr).encode()
    frame = memoryview(_HEADER.pack(len(payload), kind) + payload)
    while frame:
        frame = frame[os.write(channel, frame) :]
