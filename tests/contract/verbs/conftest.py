"""A service over a real connection, for the verbs of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from flowray.client import Client
from flowray_serve.routes.application import build_app
from tests.kit.server import serving
from tests.unit.serve.service import ECHO, KEY, Service, service


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Service:
    return service(**getattr(request, "param", {}))


@pytest.fixture(autouse=True)
def url(made: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    whole = build_app(made.services)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.endswith("/events"):  # who follows a run has it driven
            async with made.engine():
                await whole(scope, receive, send)
        else:
            await whole({**scope, "path": "/lost"} if "globex" in path else scope, receive, send)

    with serving(app) as url:
        monkeypatch.setenv("FLOWRAY_URL", url)
        monkeypatch.setenv("FLOWRAY_KEY", KEY)
        monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "home"))
        yield url


@pytest.fixture
def echo(url: str) -> str:
    """The endpoint name of a published flow."""
    with Client(url, KEY) as client:
        client.publish({**ECHO, "endpoint_name": "echo"})
    return "echo"


@pytest.fixture
def inputs(tmp_path: Path) -> str:
    """A file of two items."""
    file = tmp_path / "inputs.jsonl"
    file.write_text('"one"\n{"input_value": "two"}\n')
    return str(file)
