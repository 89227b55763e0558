"""The host's end of a channel, as plain as a test needs it."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import flowray_sandbox
from flowray.sandbox.image import Image

SPEC, BLOB_OUT, CANCEL, REPLY, PART_OUT = 1, 2, 3, 4, 5
EVENT, PART, BLOB, ASK, RESULT, ERROR = 17, 18, 19, 21, 22, 23
_HEAD = struct.Struct(">IB")
_ANSWER_S = 120
PART_BYTES = 7 << 20


@dataclass
class Heard:
    """What a job said: its events, its blobs, what it asked and told, its answer or its error."""

    events: list[dict[str, Any]] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    parts: bytearray = field(default_factory=bytearray)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    def of(self, kind: str, node: str | None = None) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event["kind"] == kind and node in (None, event["node"])]

    def output(self, node: str, port: str) -> dict[str, Any]:
        """A node's output, as it travels."""
        value: dict[str, Any] = self.of("node_finished", node)[-1]["outputs"][port]
        return value

    def text(self, node: str) -> str:
        """The text of a node's message."""
        return str(self.output(node, "message")["json"]["text"])


@dataclass
class Inside:
    """Starts jobs in fresh forks of the warm parent."""

    control: socket.socket

    def start(self, spec: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> socket.socket:
        """Hand a new child its spec; the channel to it."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self.control, [b"f"], [theirs.fileno()])
        theirs.close()
        ours.settimeout(_ANSWER_S)
        for blob in blobs:
            for at in range(0, len(blob) - PART_BYTES, PART_BYTES):
                send(ours, PART_OUT, blob[at : at + PART_BYTES])
            send(ours, BLOB_OUT, blob[(max(len(blob) - 1, 0) // PART_BYTES) * PART_BYTES :])
        send(ours, SPEC, json.dumps(spec).encode())
        return ours

    def do(self, spec: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> Heard:
        """Let a new child do the job; everything it said."""
        with self.start(spec, blobs) as channel:
            return listen(channel)


def send(channel: socket.socket, kind: int, payload: bytes = b"") -> None:
    """Send one frame."""
    channel.sendall(_HEAD.pack(len(payload), kind) + payload)


def listen(channel: socket.socket, heard: Heard | None = None) -> Heard:
    """Hear the job out, to its answer."""
    heard = heard or Heard()
    for kind, payload in frames(channel):
        note(heard, kind, payload)
    return heard


def note(heard: Heard, kind: int, payload: bytes) -> None:
    """Put a frame where it belongs."""
    if kind == PART:
        heard.parts += payload
        return
    payload = bytes(heard.parts + payload)
    heard.parts.clear()
    if kind == EVENT:
        heard.events.append(json.loads(payload))
    elif kind == BLOB:
        heard.blobs.append(payload)
    elif kind == ASK:
        heard.asked.append(json.loads(payload))
    elif kind == RESULT:
        heard.result = json.loads(payload)
    elif kind == ERROR:
        heard.error = json.loads(payload)


def frames(channel: socket.socket) -> Iterator[tuple[int, bytes]]:
    """The frames until the other side is gone."""
    stream = channel.makefile("rb")
    while head := stream.read(_HEAD.size):
        length, kind = _HEAD.unpack(head)
        yield kind, stream.read(length)


@contextmanager
def running_parent(image: Image, folder: Path) -> Iterator[Inside]:
    """A warm parent to fork from."""
    ours, theirs = socket.socketpair()
    paths = [str(Path(flowray_sandbox.__file__).parents[1]), str(image.site_packages)]
    environment = {"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"], "HOME": str(folder)}
    command = [str(image.python), str(Path(__file__).with_name("parent.py")), str(theirs.fileno()), str(folder)]
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment) as parent:
        theirs.close()
        try:
            ours.settimeout(_ANSWER_S)
            assert ours.recv(5) == b"ready"
            yield Inside(ours)
        finally:
            ours.close()
            parent.terminate()
