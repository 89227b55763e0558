"""Waiting for a run's end; one that waits for a person's answer may never have one."""

from __future__ import annotations

from collections.abc import Callable

from flowray.client import Client, calls
from flowray.engine.events import Event, Recorded, RunPaused
from flowray_serve.cli.journal_line import waiting


def end_of(
    client: Client, run: str, *, through_pauses: bool = False, on_pause: Callable[[Recorded], None] = lambda _: None
) -> Event:
    """Return the run's last event; `RunPausedError` once it waits for an answer, unless that is waited for, too.

    Of every other pause `on_pause` is told.
    """
    for recorded in client.events(run):
        if isinstance(recorded.event, RunPaused):
            if not through_pauses and _asks(client, run, recorded.event):
                raise waiting(recorded.run, recorded.event)
            on_pause(recorded)
    return recorded.event


def _asks(client: Client, run: str, pause: RunPaused) -> bool:
    """Whether it waits for an answer still: what is read may have been answered long ago."""
    return pause.request is not None and client.ask(calls.run_status(run))["status"] == "paused"
