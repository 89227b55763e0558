"""A load of mixed flows, from outside: whatever the service accepts is remembered, whatever it refuses is counted."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping

import httpx

from tests.chaos.flows import documents, said
from tests.chaos.history import Accepted, Event
from tests.chaos.people import People
from tests.chaos.world import World
from tests.kit.frames import frames
from tests.kit.service import Service

_SHARES = "echo=3 sync=4 webhook=2 skip=2 ask=1 replay=2 parallel=2 loop=2 pause=2 cancel=1"
_WEIGHTS = {kind: int(weight) for kind, weight in (share.split("=") for share in _SHARES.split())}


class Load:
    """Callers, each in a thread of its own, until it is stopped."""

    def __init__(self, service: Service, world: World, *, seed: int, callers: int = 4, pause_s: float = 0.2) -> None:
        self.accepted: list[Accepted] = []
        self.refused: Counter[str] = Counter()
        self.people = People(self._http, _chance(f"{seed}/people"))
        self._service = service
        self._pause_s = pause_s
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self.documents = documents(world.url)
        self._flows = self._publish()
        self._callers = [
            threading.Thread(target=self._call, args=(_chance(f"{seed}/{number}"),), daemon=True)
            for number in range(callers)
        ]

    def start(self) -> None:
        """Begin to call."""
        self.people.start()
        for caller in self._callers:
            caller.start()

    def stop(self) -> None:
        """Call no more; what is asked goes on being answered."""
        self._over.set()
        for caller in self._callers:
            caller.join(90)

    def journals(self, *, within_s: float) -> Mapping[str, list[Event]]:
        """The journals of all accepted runs, once they are over, or as they are when time is."""
        found: dict[str, list[Event]] = {}
        until = time.monotonic() + within_s
        with self._http() as http:
            while len(found) < len(self.accepted):
                for one in self.accepted:
                    if one.run not in found and (events := self._journal(http, one.run, until)) is not None:
                        found[one.run] = events
                time.sleep(0.5)
        self.people.stop()
        return found

    def _journal(self, http: httpx.Client, run: str, until: float) -> list[Event] | None:
        """None while it is not over and there is time."""
        told: list[Event] = []
        try:
            # Asked first: a journal that is still open would be followed, and many are.
            story = http.get(f"/api/v1/runs/{run}", timeout=10)
            if time.monotonic() < until and (not story.is_success or "finished_at" not in story.json()):
                return None
            with http.stream("GET", f"/api/v1/runs/{run}/events", timeout=5) as response:
                if response.status_code == httpx.codes.OK:
                    told.extend(frames(response.iter_lines()))
        except httpx.TransportError as gone:
            del gone  # still running, or the gateway has just died
        over = bool(told) and told[-1]["kind"] == "run_finished"
        return told if over or time.monotonic() > until else None

    def _call(self, chance: random.Random) -> None:
        kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
        with self._http() as http:
            while not self._over.is_set():
                (kind,) = chance.choices(kinds, weights)
                label = f"{kind}-{next(self._numbers)}"
                try:
                    self._one(http, kind, label, chance)
                except httpx.TransportError as error:
                    self.refused[type(error).__name__] += 1
                self._over.wait(chance.uniform(0, 2 * self._pause_s))

    def _one(self, http: httpx.Client, kind: str, label: str, chance: random.Random) -> None:
        given, _ = said(kind, label)
        if kind == "sync":
            response = http.post(f"/api/v1/run/{self._flows[kind]}", json={"input_value": given})
        elif kind == "webhook":
            response = http.post(f"/api/v1/webhook/{self._flows[kind]}", content=given)
        else:
            body = {"flow_id": self._flows[kind], "mode": "background", "input_value": given}
            response = http.post("/api/v2/workflows", json=body)
        if not response.is_success:
            self.refused[str(response.status_code)] += 1
            return
        run = response.headers["x-flowray-run"]
        cancelled = False
        if kind == "cancel":
            self._over.wait(chance.uniform(0, 2))
            cancelled = self._cancel(http, run)
        self.accepted.append(Accepted(run=run, label=label, kind=kind, at=time.time(), cancelled=cancelled))

    def _cancel(self, http: httpx.Client, run: str) -> bool:
        try:
            response = http.post("/api/v2/workflows/stop", json={"job_id": run})
        except httpx.TransportError:
            return False
        return response.is_success and "cancelled successfully" in response.json()["message"]

    def _http(self) -> httpx.Client:
        return self._service.client()

    def _publish(self) -> Mapping[str, str]:
        with self._http() as http:
            return {kind: _published(http, document) for kind, document in self.documents.items()}


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same each time is what is wanted


def _published(http: httpx.Client, document: Mapping[str, object]) -> str:
    response = http.post("/api/v1/flows/", json=document)
    response.raise_for_status()
    return str(response.json()["id"])
