"""A FlowRay of the tests' own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from flowray_serve.cluster.ports import free_port
from flowray_serve.embedded import EmbeddedValkey
from flowray_serve.home import Home

PAGE = "https://page.test"  # an origin whose pages may call
_START_S = 420
_WAIT_S = 400
_STOP_S = 60


@dataclass(frozen=True)
class Service:
    """Where it answers, the key of its first tenant, and the environment that the command line finds it with."""

    url: str
    key: str
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def flowray(self, *words: str, within_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a verb of the command line where this service was started."""
        command = [str(Path(sys.executable).with_name("flowray")), *words]
        return subprocess.run(
            command, env=self.environment, timeout=within_s, capture_output=True, text=True, check=False
        )

    def client(self, key: str | None = None, *, timeout_s: float = 60, **headers: str) -> httpx.Client:
        """Plain HTTP to it, with the key of its first tenant or another one."""
        return httpx.Client(base_url=self.url, headers={"x-api-key": key or self.key, **headers}, timeout=timeout_s)

    @property
    def supervisor(self) -> int:
        """The process id of the supervisor."""
        state = Path(self.environment["FLOWRAY_HOME"], "service.json").read_text()
        return int(json.loads(state)["pid"])

    @property
    def redis_url(self) -> str:
        """Where its own Valkey answers."""
        return EmbeddedValkey.of(Home(Path(self.environment["FLOWRAY_HOME"]))).url

    @property
    def logs(self) -> Sequence[Path]:
        """All that its processes have written down."""
        home = Path(self.environment["FLOWRAY_HOME"])
        return [file for folder in ("logs", "run") for file in (home / folder).rglob("*.log") if file.is_file()]


@contextmanager
def running_service(*reachable: str, settings: Mapping[str, str] | None = None, standby: int = 0) -> Iterator[Service]:
    """`flowray up` in a home and on a port of its own, with these variables; runs and callbacks may reach these hosts.

    A standby Runner and engine cost some seconds of CPU time once the service answers: they are there for who asks.
    """
    with tempfile.TemporaryDirectory(prefix="flowray-") as home:
        environment = _environment(home, reachable, standby) | dict(settings or {})
        try:
            up = _flowray("up", "--detach", "--json", f"--wait={_WAIT_S}", environment=environment, within_s=_START_S)
            answer = json.loads(up.splitlines()[-1])
            yield Service(answer["url"], answer["key"], environment)
        finally:
            _flowray("down", environment=environment, within_s=_STOP_S)


def _environment(home: str, reachable: Sequence[str], standby: int) -> dict[str, str]:
    """Settings of this service alone; a wall limit that a test can wait for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWRAY_")}
    pool = {"spares": 4, "standby": standby, "egress": reachable, "private_hosts": reachable}
    return kept | {
        "FLOWRAY_HOME": home,
        "FLOWRAY_PORT": str(free_port()),
        "FLOWRAY_LIMITS__WALL_S": "20",
        "FLOWRAY_GATEWAY__CORS_ORIGINS": PAGE,
        "FLOWRAY_ENGINES__STANDBY": str(standby),
        "FLOWRAY_CALLBACKS__PRIVATE_HOSTS": json.dumps(reachable),
        "FLOWRAY_POOLS": json.dumps({"default": pool}),
    }


def _flowray(*words: str, environment: dict[str, str], within_s: float) -> str:
    command = [str(Path(sys.executable).with_name("flowray")), *words]
    done = subprocess.run(command, env=environment, timeout=within_s, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"`flowray {' '.join(words)}` failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
