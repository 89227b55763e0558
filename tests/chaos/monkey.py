"""A monkey with a seed: kills, stops, empties and cuts parts of a running service, the same way each time."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import redis.exceptions

from tests.chaos.cutting import cut, goes_through
from tests.chaos.stores import Stores
from tests.kit.processes import descendants
from tests.kit.service import Service

_WORDS = {
    "engine": "ServeReplica:flowray:engine",
    "runner": "ServeReplica:flowray:runner-default",
    "gateway": "ServeReplica:flowray:gateway",
    "registry": "RegistryActor",
    "gcs": "gcs_server",
    "raylet": "raylet/raylet",
    "zygote": "bwrap",
}
_CALLERS = ("engine", "gateway")
ACTS = (
    *(f"kill {part}" for part in (*_WORDS, "sandbox")),
    *(f"stop {part}" for part in ("engine", "runner", "gateway", "registry", "gcs", "sandbox")),
    *(f"{verb} {store}" for verb in ("restart", "stop") for store in ("valkey", "s3")),
    *("forget last second", "forget all"),
    *(f"cut {caller} from {other}" for caller in _CALLERS for other in ("valkey", "s3", "runner")),
)
# Two faults at once for which nothing is promised. What Redis forgets, the engines that are alive and the record know:
# Redis may not forget while an engine is lost as well, and what the record takes over a moment later has to get there.
APART_S = 20.0
_FORGETS = frozenset({"forget last second", "forget all"})
_KNOWS = frozenset(
    {"kill engine", "stop engine", "kill raylet", "kill gateway", "restart s3", "stop s3", "cut engine from s3"}
)
_STARTS_WITHIN_S = 180.0
# The whole service starts again then; its guard gives up a service that does so all the time.
RARELY_S = {"kill raylet": 240.0, "restart s3": 120.0}


@dataclass
class Monkey:
    """Does one thing after another, with pauses between, until its time is over."""

    service: Service
    stores: Stores
    seed: int
    pause_s: tuple[float, float] = (3.0, 7.0)
    acts: Sequence[str] = ACTS
    done: Counter[str] = field(default_factory=Counter)
    tell: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - the same each time is what is wanted
        self._last: dict[str, float] = {}
        self._turns = self._each()

    def play(self, for_s: float) -> None:
        """Play, in this thread."""
        until = time.monotonic() + for_s
        pause = threading.Event()
        while time.monotonic() < until:
            pause.wait(self._random.uniform(*self.pause_s))
            act = next(self._turns)
            if self._may(act) and self._act(act):
                self.done[act] += 1
                self.tell(act)
                self._last[act] = time.monotonic()

    def _each(self) -> Iterator[str]:
        """All acts in some order, then all again in another: a short round is as varied as it can be."""
        while True:
            yield from self._random.sample(self.acts, len(self.acts))

    def _may(self, act: str) -> bool:
        if act in _FORGETS and self._pid("engine") is None:
            return False  # the service starts again
        now = time.monotonic()
        never = float("-inf")
        if now - self._last.get(act, never) < RARELY_S.get(act, 0.0):
            return False
        others = _KNOWS if act in _FORGETS else _FORGETS if act in _KNOWS else frozenset()
        return all(now - self._last.get(other, never) >= APART_S for other in others)

    def _act(self, act: str) -> bool:
        verb, _, rest = act.partition(" ")
        try:
            match verb:
                case "forget":
                    return self._forget(rest)
                case "restart":
                    self.stores.restart(rest, after_s=self._random.uniform(0.0, 4.0))
                    return True
                case "cut":
                    return self._cut(*rest.split(" from "))
                case "kill":
                    pid = self._pid(rest)
                    killed = pid is not None and _signalled(pid, signal.SIGKILL)
                    if killed and rest == "raylet":
                        self._until_it_answers()
                    return killed
                case _:
                    return self._stop(self._pid(rest), self._random.uniform(1.0, 8.0))
        except (OSError, redis.exceptions.RedisError):
            return False  # it has gone by itself meanwhile

    def _until_it_answers(self) -> None:
        """The whole service starts again; what else happened meanwhile would happen to nobody."""
        until = time.monotonic() + _STARTS_WITHIN_S
        pause = threading.Event()
        while time.monotonic() < until:
            pause.wait(1.0)
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.service.url}/health", timeout=2).is_success and self._pid("engine") is not None:
                    return

    def _forget(self, what: str) -> bool:
        if what == "all":
            self.stores.forget_all()
        else:
            self.stores.forget_last_second()
        return True

    def _stop(self, pid: int | None, for_s: float) -> bool:
        if pid is None or not _signalled(pid, signal.SIGSTOP):
            return False
        threading.Event().wait(for_s)
        _signalled(pid, signal.SIGCONT)
        return True

    def _cut(self, caller: str, other: str) -> bool:
        pid = self._pid(caller)
        if pid is None:
            return False
        lanes = Path(self.service.environment["FLOWRAY_HOME"]) / "run"
        return cut(pid, goes_through(lanes) if other == "runner" else self.stores.connections[other]) > 0

    def _pid(self, part: str) -> int | None:
        if part in self.stores.connections:
            return self.stores.pid(part)
        if part == "sandbox":  # what the zygote forked: it has the zygote's command line, below bubblewrap
            return self._one(lambda command: "flowray_sandbox" in command and "bwrap" not in command)
        return self._one(lambda command: _WORDS[part] in command)

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
