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

from flowray_sandbox import readiness

_HEADER = struct.Struct(">IB")
_SPEC, _RESULT, _ERROR = 1, 22, 23
_READ_BYTES = 1 << 16


def serve(channel: int, on_spec: Callable[[Mapping[str, Any]], None]) -> None:
    """Wait for one spec, execute its `code`, answer with what it bound to `result`, and end the process."""
    kind, payload = _read(channel)
    if kind != _SPEC:
        os._exit(71)
    spec = readiness.read(payload)
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
    """The first frame, mostly with one call."""
    received = b""
    while len(received) < _HEADER.size or len(received) < _HEADER.size + _HEADER.unpack_from(received)[0]:
        part = os.read(channel, _READ_BYTES)
        if not part:
            os._exit(0)  # the host dropped this spare
        received += part
    size, kind = _HEADER.unpack_from(received)
    return kind, received[_HEADER.size : _HEADER.size + size]


def _write(channel: int, kind: int, message: Mapping[str, Any]) -> None:
    payload = json.dumps(message, default=repr).encode()
    frame = memoryview(_HEADER.pack(len(payload), kind) + payload)
    while frame:
        frame = frame[os.write(channel, frame) :]
