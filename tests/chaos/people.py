"""People who answer what paused runs ask, some day and with a mind of their own."""

from __future__ import annotations

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import httpx


class People:
    """One thread of them. `answers` has, by run, the requests whose answers were confirmed, with the decisions."""

    def __init__(self, client: Callable[[], httpx.Client], chance: random.Random) -> None:
        self.answers: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        self._client = client
        self._chance = chance
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join(90)

    def _work(self) -> None:
        with self._client() as http:
            while not self._over.wait(1.0):
                try:
                    self._look(http)
                except httpx.TransportError as error:
                    self.refused[type(error).__name__] += 1

    def _look(self, http: httpx.Client) -> None:
        response = http.get("/api/v2/workflows/pending")
        if not response.is_success:
            self.refused[str(response.status_code)] += 1
            return
        for asked in response.json():
            if self._chance.random() < 0.5:  # the others think about it
                self._answer(http, asked)

    def _answer(self, http: httpx.Client, asked: Mapping[str, Any]) -> None:
        run, request = asked["job_id"], asked["request_id"]
        allowed = [one for one in asked["allowed_decisions"] if one != "fail"]
        decision = self._chance.choice(allowed)
        body = {"request_id": request, "decision": {"action_id": decision}}
        response = http.post(f"/api/v2/workflows/{run}/resume", json=body)
        if response.is_success:
            self.answers[run].append((request, decision))
        else:
            self.refused[f"answer {response.status_code}"] += 1
