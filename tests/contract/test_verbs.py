"""Verbs of the command line against a service over a real connection: what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from flowray_serve.cli.main import main
from flowray_serve.routes.application import build_app
from tests.kit.server import serving
from tests.unit.serve.service import KEY, KEYS_BY_ROLE, Service, service

TENANTS = """
tenants:
  acme: {keys: {ci: {roles: [runner]}}}
  globex: {keys: {ci: {roles: [runner]}}}
"""


@pytest.fixture
def made() -> Service:
    return service()


@pytest.fixture(autouse=True)
def url(made: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    whole = build_app(made.services)

    async def without_globex(scope: Scope, receive: Receive, send: Send) -> None:
        lost = "globex" in scope.get("path", "")
        await whole({**scope, "path": "/lost"} if lost else scope, receive, send)

    with serving(without_globex) as url:
        monkeypatch.setenv("FLOWRAY_URL", url)
        monkeypatch.setenv("FLOWRAY_KEY", KEY)
        monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "home"))
        yield url


def flowray(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """The exit code."""
    monkeypatch.setattr("sys.argv", ["flowray", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_keys_that_were_made_before_a_failure_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])

    assert flowray(monkeypatch, "apply", str(tmp_path / "tenants.yaml"), "--yes", "--json") == 2

    said = json.loads(capsys.readouterr().out)
    assert [key["tenant"] for key in said["keys"]] == ["acme"]
