"""The two servers, asked the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.conformance.differences import Difference, differing
from tests.conformance.normal import body_of

_WRITTEN_S = 30
SIGNED_OUT = {"x-api-key": ""}


@dataclass
class Side:
    """One of them, and what it answered, by the name of the request."""

    http: httpx.Client
    names: Mapping[str, str]
    signs_in: tuple[str, str]
    said: dict[str, httpx.Response] = field(default_factory=dict)

    def __call__(self, name: str, method: str, path: str, **sent: Any) -> httpx.Response:
        """Ask, and keep the answer."""
        response = self.http.request(method, path, **sent)
        self.said[name] = response
        return response

    def until(self, done: Callable[[], object]) -> None:
        """Wait for what is written beside the answer."""
        deadline = time.monotonic() + _WRITTEN_S
        while not done():
            assert time.monotonic() < deadline, "it was never written"
            time.sleep(0.1)  # nothing tells

    def made(self, path: str, **sent: Any) -> Any:
        """Make what a story needs, without looking at how it is answered."""
        return self.http.post(path, **sent).raise_for_status().json()


Story = Callable[[Side], None]


def told(story: Story, theirs: Side, ours: Side) -> list[Difference]:
    """Tell the story to both; what differs in their answers."""
    found: list[Difference] = []
    for side in (theirs, ours):
        side.said.clear()
        side.http.cookies.clear()
        story(side)
    assert list(theirs.said) == list(ours.said), "a story must ask both the same"
    for name, their_answer in theirs.said.items():
        our_answer = ours.said[name]
        bodies = (body_of(their_answer, theirs.names), body_of(our_answer, ours.names))
        found += differing(name, *bodies, answers=(their_answer, our_answer))
    return found
