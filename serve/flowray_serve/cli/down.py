"""`flowray down`: stop the FlowRay of this home, and all that it started."""

from __future__ import annotations

import os
import signal
import time
from typing import Annotated

import typer

from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, say, say_json
from flowray_serve.home import Home

_POLL_S = 0.1


def command(
    *,
    wait_s: Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait for it to stop.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Stop what `flowray up` started at FLOWRAY_HOME."""
    home = Home.of_environment()
    running = home.running()
    if running is not None:
        os.kill(running.pid, signal.SIGTERM)
        if not _stopped_within(home, wait_s):
            say(f"FlowRay (pid {running.pid}) did not stop within {wait_s:.0f} s. Its logs are in {home.logs}.")
            raise typer.Exit(FAILED)
    if as_json:
        say_json({"stopped": running is not None})
        return
    say("Stopped." if running else f"Nothing runs at {home.path}.")


def _stopped_within(home: Home, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while home.running() is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
