"""A monkey with a seed: kills, stops and empties parts of a running service, the same way each time."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.kit.processes import descendants
from tests.kit.service import Service

TARGETS = {
    "engine": "ServeReplica:flowray:engine",
    "runner": "ServeReplica:flowray:runner-default",
    "gateway": "ServeReplica:flowray:gateway",
    "registry": "RegistryActor",
    "valkey": "valkey-server",
    "gcs": "gcs_server",
    "zygote": "bwrap",
}
KILLED = ("engine", "runner", "gateway", "registry", "valkey", "gcs", "zygote", "sandbox")
STOPPED = ("engine", "runner", "gateway", "valkey")
# Emptying Redis while the engine that could fill it again is being killed loses what only those two knew: two faults at
# once, for which nothing is promised. The monkey lets this time pass between the two.
APART_S = 20.0


@dataclass
class Monkey:
    """Does one thing after another, with pauses between, until its time is over."""

    service: Service
    seed: int
    pause_s: tuple[float, float] = (4.0, 9.0)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - the same each time is what is wanted
        self._last = dict.fromkeys(("engine", "flush"), float("-inf"))
        self._over = threading.Event()

    def play(self, for_s: float) -> None:
        """Play, in this thread."""
        until = time.monotonic() + for_s
        while time.monotonic() < until and not self._over.is_set():
            self._over.wait(self._random.uniform(*self.pause_s))
            action, target = self._choice()
            if action == "flush":
                self._flush()
            elif action == "kill":
                self._kill(target)
            else:
                self._stop(target, self._random.uniform(1.0, 8.0))

    def stop(self) -> None:
        """Play no longer."""
        self._over.set()

    def _choice(self) -> tuple[str, str]:
        actions: Sequence[tuple[str, str]] = [
            *(("kill", target) for target in KILLED),
            *(("stop", target) for target in STOPPED),
            ("flush", "valkey"),
        ]
        return self._random.choice(actions)

    def _may(self, what: str, other: str) -> bool:
        now = time.monotonic()
        if now - self._last[other] < APART_S:
            return False
        self._last[what] = now
        return True

    def _kill(self, target: str) -> None:
        if target == "engine" and not self._may("engine", "flush"):
            return
        pid = self._sandbox() if target == "sandbox" else self._pid(TARGETS[target])
        if pid is not None and _signalled(pid, signal.SIGKILL):
            self.done[f"kill {target}"] += 1

    def _stop(self, target: str, for_s: float) -> None:
        if target == "engine" and not self._may("engine", "flush"):
            return
        pid = self._pid(TARGETS[target])
        if pid is not None and _signalled(pid, signal.SIGSTOP):
            self.done[f"stop {target}"] += 1
            self._over.wait(for_s)
            _signalled(pid, signal.SIGCONT)

    def _flush(self) -> None:
        if not self._may("flush", "engine"):
            return
        folder = Path(self.service.environment["FLOWRAY_HOME"]) / "valkey"
        port = next(line.split()[1] for line in (folder / "valkey.conf").read_text().splitlines() if "port " in line)
        try:
            with redis.Redis(port=int(port), password=(folder / "password").read_text(), socket_timeout=5) as client:
                client.flushall()
        except redis.RedisError:
            return
        self.done["empty valkey"] += 1

    def _pid(self, word: str) -> int | None:
        return self._one(lambda command: word in command)

    def _sandbox(self) -> int | None:
        """A sandbox is what the zygote forked: it has the zygote's command line, below bubblewrap."""
        return self._one(lambda command: "flowray_sandbox" in command and "bwrap" not in command)

    def _one(self, fits: Callable[[str], bool]) -> int | None:
        try:
            found = descendants(self.service.supervisor)
        except (OSError, ValueError):
            return None
        pids = sorted(pid for pid, command in found.items() if fits(command))
        return self._random.choice(pids) if pids else None


def _signalled(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True
