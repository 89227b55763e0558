"""`flowray down`: stop the FlowRay of this home, and all that it started."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Annotated

import typer

from flowray_serve.cli.terminal import AsJson, complain, say, say_json
from flowray_serve.cluster.leftovers import end_leftovers
from flowray_serve.home import Home


def command(
    *,
    wait_s: Annotated[float, typer.Option("--wait", min=1, help="Seconds to wait before it is killed.")] = 60,
    as_json: AsJson = False,
) -> None:
    """Stop what `flowray up` started at FLOWRAY_HOME."""
    home = Home.of_environment()
    pids = _those_of(home)
    if pids:
        _stop(home, pids, wait_s)
    if as_json:
        say_json({"stopped": bool(pids)})
        return
    say("Stopped." if pids else f"Nothing runs at {home.path}.")


def _those_of(home: Home) -> Sequence[int]:
    """Who is to end: the guard, so that it knows that this end is meant, and the supervisor, if there is one."""
    running, guard = home.running(), home.guard()
    return [pid for pid in (guard, running.pid if running else None) if pid]


def _stop(home: Home, pids: Sequence[int], wait_s: float) -> None:
    """Ask them to end, and wait until they have; those that do not are killed, and their processes with them."""
    with ExitStack() as opened:
        asked = [one for pid in pids if (one := _asked(pid, opened)) is not None]
        left = _left(asked, wait_s)
        for one in left:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(one, signal.SIGKILL)
    if not left:
        return
    end_leftovers(home.run, token=home.secret_file)
    complain(f"FlowRay (pid {pids[-1]}) did not stop and was killed. Its logs are in {home.logs}.")


def _asked(pid: int, opened: ExitStack) -> int | None:
    """A handle of the process that was asked to end; None when it has."""
    try:
        one = os.pidfd_open(pid)
        opened.callback(os.close, one)
        signal.pidfd_send_signal(one, signal.SIGTERM)
    except ProcessLookupError:
        return None
    return one


def _left(processes: Sequence[int], within_s: float) -> Sequence[int]:
    """Those that have not ended within a time."""
    deadline, left = time.monotonic() + within_s, list(processes)
    while left and (rest_s := deadline - time.monotonic()) > 0:
        ended, _, _ = select.select(left, [], [], rest_s)
        left = [one for one in left if one not in ended]
    return left
