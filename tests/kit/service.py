"""A FlowRay of its own for the tests, or the one that the environment names."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.server import HOST

_START_S = 240
_STOP_S = 60


@dataclass(frozen=True)
class Service:
    """Where it answers, and the key of its first tenant."""

    url: str
    key: str


@contextmanager
def running_service() -> Iterator[Service]:
    """`flowray up` in a home and on ports of its own; FLOWRAY_TEST_URL and FLOWRAY_TEST_KEY name a running one."""
    if url := os.environ.get("FLOWRAY_TEST_URL"):
        yield Service(url, os.environ["FLOWRAY_TEST_KEY"])
        return
    with tempfile.TemporaryDirectory(prefix="flowray-") as home:
        environment = _environment(home)
        try:
            up = _flowray("up", "--detach", "--json", environment=environment, within_s=_START_S)
            answer = json.loads(up.splitlines()[-1])
            yield Service(answer["url"], answer["key"])
        finally:
            _flowray("down", environment=environment, within_s=_STOP_S)


def _environment(home: str) -> dict[str, str]:
    """Short limits, so that a test of one takes seconds, and the way to the test servers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWRAY_")}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pool = {"spares": 4, "egress": [HOST], "private_hosts": [HOST]}
    return kept | {
        "FLOWRAY_HOME": home,
        "FLOWRAY_PORT": str(port),
        "FLOWRAY_LIMITS__WALL_S": "20",
        "FLOWRAY_POOLS": json.dumps({"default": pool}),
    }


def _flowray(*words: str, environment: dict[str, str], within_s: float) -> str:
    command = [str(Path(sys.executable).with_name("flowray")), *words]
    done = subprocess.run(command, env=environment, timeout=within_s, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`flowray {' '.join(words)}` failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
