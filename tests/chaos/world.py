"""The world outside: a server that counts what flows do to it, by label, and how much of it goes on at one time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.kit.server import serving


@dataclass
class World:
    """What was done to it. An effect takes `takes_s`, and goes on until its sandbox hears of it or is gone."""

    takes_s: float = 0.3
    effects: Counter[str] = field(default_factory=Counter)
    going_on: int = 0
    most_at_once: int = 0
    url: str = ""

    @property
    def host(self) -> str:
        """`host:port`, as an egress allow-list names it."""
        return self.url.removeprefix("http://")

    async def take(self, request: Request) -> Response:
        """One effect."""
        self.effects[request.path_params["label"]] += 1
        self.going_on += 1
        self.most_at_once = max(self.most_at_once, self.going_on)
        try:
            await asyncio.wait_for(_gone(request), self.takes_s)
        except TimeoutError:
            pass
        finally:
            self.going_on -= 1
        return PlainTextResponse("done")


async def _gone(request: Request) -> None:
    """Until whoever asked has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@contextmanager
def running_world() -> Iterator[World]:
    """The world, on a thread of its own."""
    world = World()
    routes = [Route("/effect/{label}", world.take, methods=["POST"])]
    with serving(Starlette(routes=routes)) as url:
        world.url = url
        yield world
