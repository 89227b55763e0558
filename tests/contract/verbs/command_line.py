"""The command line as its user has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import pytest

from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray_serve.cli.main import main


async def failing(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    node = request.flow.nodes[0].id
    yield ev.StepFailed(step=step.step, kind="component", node=node, error="no key", traceback="tb")


class Terminal(StringIO):
    """Where somebody answers."""

    def isatty(self) -> bool:
        return True


def flowray(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """The exit code."""
    monkeypatch.setattr("sys.argv", ["flowray", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code
