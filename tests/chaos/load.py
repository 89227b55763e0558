"""A load of mixed flows, from outside: whatever the service accepts is remembered, whatever it refuses is counted."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx

import flowray
from tests.chaos.history import Accepted, Event, Kind
from tests.chaos.world import World
from tests.kit.service import Service

_SPECS = {
    "echo": "name: Echo\n\nnodes:\n  A: ChatInput\n  B: ChatOutput\n\nedges:\n  A.message -> B.input_value\n",
    "through": (
        "name: Through\n\nnodes:\n  A: ChatInput\n  B: CustomComponent\n  C: ChatOutput\n\n"
        "edges:\n  A.message -> B.input_value\n  B.output -> C.input_value\n"
    ),
    "hook": "name: Hook\n\nnodes:\n  A: Webhook\n  B: ChatOutput\n\nedges:\n  A.output_data -> B.input_value\n",
}
_SOURCE = """
from lfx.custom.custom_component.component import Component
from lfx.io import MessageTextInput, Output
from lfx.schema.message import Message


class CustomComponent(Component):
    display_name = "Effect"
    name = "CustomComponent"
    metadata = {"flowray": {"effect": "EFFECT"}}
    inputs = [MessageTextInput(name="input_value", display_name="Input", value="")]
    outputs = [Output(name="output", display_name="Output", method="build_output")]

    def build_output(self) -> Message:
        import time

        import httpx

        if "URL":
            httpx.post("URL/effect/" + self.input_value, timeout=20).raise_for_status()
        time.sleep(SLEEP)
        return Message(text=self.input_value)
"""
_KINDS: tuple[Kind, ...] = ("echo", "echo", "skip", "replay", "cancel", "webhook", "sync", "sync")
_TERMINAL = {"run_finished"}


class Load:
    """Callers, each in a thread of its own, until it is stopped."""

    def __init__(self, service: Service, world: World, *, seed: int, callers: int = 4, pause_s: float = 0.2) -> None:
        self.accepted: list[Accepted] = []
        self.refused: Counter[str] = Counter()
        self._service = service
        self._pause_s = pause_s
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._flows = self._publish(world)
        self._callers = [
            threading.Thread(target=self._call, args=(_chance(f"{seed}/{number}"),), daemon=True)
            for number in range(callers)
        ]

    def start(self) -> None:
        """Begin to call."""
        for caller in self._callers:
            caller.start()

    def stop(self) -> None:
        """Call no more."""
        self._over.set()
        for caller in self._callers:
            caller.join(60)

    def journals(self, *, within_s: float) -> Mapping[str, list[Event]]:
        """The journals of all accepted runs, once they are over, or as they are when time is."""
        found: dict[str, list[Event]] = {}
        until = time.monotonic() + within_s
        with self._http() as http:
            while len(found) < len(self.accepted):
                for one in self.accepted:
                    if one.run not in found and (events := self._journal(http, one.run, until)) is not None:
                        found[one.run] = events
                if time.monotonic() < until:
                    time.sleep(0.5)
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
                    lines = (line for line in response.iter_lines() if line.startswith("data: "))
                    told.extend(json.loads(line.removeprefix("data: ")) for line in lines)
        except httpx.TransportError as gone:
            del gone  # still running, or the gateway has just died
        over = bool(told) and told[-1]["kind"] in _TERMINAL
        return told if over or time.monotonic() > until else None

    def _call(self, chance: random.Random) -> None:
        with self._http() as http:
            while not self._over.is_set():
                kind = chance.choice(_KINDS)
                label = f"{kind}-{next(self._numbers)}"
                try:
                    self._one(http, kind, label, chance)
                except httpx.TransportError as error:
                    self.refused[type(error).__name__] += 1
                self._over.wait(chance.uniform(0, 2 * self._pause_s))

    def _one(self, http: httpx.Client, kind: Kind, label: str, chance: random.Random) -> None:
        if kind == "sync":
            response = http.post(f"/api/v1/run/{self._flows['echo']}", json={"input_value": label})
        elif kind == "webhook":
            response = http.post(f"/api/v1/webhook/{self._flows['webhook']}", content=label)
        else:
            body = {"flow_id": self._flows[kind], "mode": "background", "input_value": label}
            response = http.post("/api/v2/workflows", json=body)
        if not response.is_success:
            self.refused[str(response.status_code)] += 1
            return
        run = response.headers["x-flowray-run"]
        cancelled = False
        if kind == "cancel":
            self._over.wait(chance.uniform(0, 2))
            cancelled = self._cancel(http, run)
        self.accepted.append(Accepted(run=run, label=label, kind=kind, cancelled=cancelled))

    def _cancel(self, http: httpx.Client, run: str) -> bool:
        try:
            response = http.post("/api/v2/workflows/stop", json={"job_id": run})
        except httpx.TransportError:
            return False
        return response.is_success and "cancelled successfully" in response.json()["message"]

    def _http(self) -> httpx.Client:
        return httpx.Client(base_url=self._service.url, headers={"x-api-key": self._service.key}, timeout=60)

    def _publish(self, world: World) -> Mapping[str, str]:
        documents = {
            "echo": flow_of("echo"),
            "webhook": flow_of("hook"),
            "skip": flow_of("through", effect="skip", url=world.url, sleep_s=0.3),
            "replay": flow_of("through", effect="replay", url=world.url, sleep_s=0.3),
            "cancel": flow_of("through", effect="replay", url="", sleep_s=8.0),
        }
        with self._http() as http:
            return {kind: _published(http, {**document, "name": kind}) for kind, document in documents.items()}


def _chance(seed: str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same each time is what is wanted


def flow_of(spec: str, *, effect: str = "", url: str = "", sleep_s: float = 0.0) -> dict[str, Any]:
    """A Langflow document; with an effect, its middle node is the component above."""
    document: dict[str, Any] = dict(flowray.expand({spec: _SPECS[spec]})[spec])
    code = _SOURCE.replace("EFFECT", effect).replace("URL", url).replace("SLEEP", str(sleep_s))
    for node in document["data"]["nodes"]:
        if node["data"]["type"] == "CustomComponent":
            inner = node["data"]["node"]
            inner["template"]["code"]["value"] = code
            inner["metadata"] = {**(inner.get("metadata") or {}), "flowray": {"effect": effect}}
    return document


def _published(http: httpx.Client, document: Mapping[str, Any]) -> str:
    response = http.post("/api/v1/flows/", json=document)
    response.raise_for_status()
    return str(response.json()["id"])
