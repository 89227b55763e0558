"""`flowray down`: stop the FlowRay of this home, and all that it started."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from typing import Annotated

import typer

from flowray_serve.cli.terminal import AsJson, say, say_json
from flowray_serve.cluster.leftovers import end_leftovers
from flowray_serve.home import Home, Running


def command(
    *,
    wait_s: Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait before it is killed.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Stop what `flowray up` started at FLOWRAY_HOME."""
    home = Home.of_environment()
    running = home.running()
    if running is not None:
        _stop(home, running, wait_s)
    if as_json:
        say_json({"stopped": running is not None})
        return
    say("Stopped." if running else f"Nothing runs at {home.path}.")


def _stop(home: Home, running: Running, wait_s: float) -> None:
    """Ask the supervisor to end, and wait until it has; one that does not is killed, and its processes with it."""
    try:
        supervisor = os.pidfd_open(running.pid)
    except ProcessLookupError:
        return
    if running.guard > 1:
        with contextlib.suppress(OSError):
            os.kill(running.guard, signal.SIGTERM)  # so that it knows that this end is meant
    try:
        signal.pidfd_send_signal(supervisor, signal.SIGTERM)
        if _ended(supervisor, wait_s):
            return
        signal.pidfd_send_signal(supervisor, signal.SIGKILL)
    finally:
        os.close(supervisor)
    end_leftovers(home.run, token=home.secret_file)
    say(f"FlowRay (pid {running.pid}) did not stop and was killed. Its logs are in {home.logs}.")


def _ended(supervisor: int, within_s: float) -> bool:
    readable, _, _ = select.select([supervisor], [], [], within_s)
    return bool(readable)
