"""`flowray down`: stop the FlowRay of this home, and all that it started."""

from __future__ import annotations

import os
import signal
import time
from typing import Annotated

import typer

from flowray_serve.cli.terminal import AsJson, say, say_json
from flowray_serve.cluster.leftovers import end_leftovers
from flowray_serve.home import Home, Running

_POLL_S = 0.1


def command(
    *,
    wait_s: Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait before it is killed.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Stop what `flowray up` started at FLOWRAY_HOME."""
    home = Home.of_environment()
    running = home.running()
    if running is not None:
        os.kill(running.pid, signal.SIGTERM)
        if not _stopped_within(home, wait_s):
            _kill(home, running)
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


def _kill(home: Home, running: Running) -> None:
    """End a supervisor that does not stop; what it started dies with it, or is ended here."""
    os.kill(running.pid, signal.SIGKILL)
    end_leftovers(home.run, token=home.secret_file)
    say(f"FlowRay (pid {running.pid}) did not stop and was killed. Its logs are in {home.logs}.")
