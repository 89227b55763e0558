"""The world outside: a server that counts what flows do to it, by the label of the run."""

from __future__ import annotations

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
    """What was done to it."""

    effects: Counter[str] = field(default_factory=Counter)
    url: str = ""

    @property
    def host(self) -> str:
        """`host:port`, as an egress allow-list names it."""
        return self.url.removeprefix("http://")

    async def take(self, request: Request) -> Response:
        """One effect."""
        self.effects[request.path_params["label"]] += 1
        return PlainTextResponse("done")


@contextmanager
def running_world() -> Iterator[World]:
    """The world, on a thread of its own."""
    world = World()
    routes = [Route("/effect/{label}", world.take, methods=["POST"])]
    with serving(Starlette(routes=routes)) as url:
        world.url = url
        yield world
