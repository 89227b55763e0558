"""A FlowRay of its own for the tests, or the one that the environment names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
        environment = {**os.environ, "FLOWRAY_HOME": home}
        try:
            up = _flowray("up", "--detach", "--json", environment=environment, within_s=_START_S)
            answer = json.loads(up.splitlines()[-1])
            yield Service(answer["url"], answer["key"])
        finally:
            _flowray("down", environment=environment, within_s=_STOP_S)


def _flowray(*words: str, environment: dict[str, str], within_s: float) -> str:
    command = [str(Path(sys.executable).with_name("flowray")), *words]
    done = subprocess.run(command, env=environment, timeout=within_s, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`flowray {' '.join(words)}` failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
