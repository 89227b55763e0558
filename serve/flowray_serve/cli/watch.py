"""`flowray watch RUN`: a run's journal, live or afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray.engine import events as ev
from flowray.engine.codec import encode
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.journal_line import line
from flowray_serve.cli.terminal import AsJson, say


def command(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    *,
    after: Annotated[int, typer.Option(min=0, help="Only events with a greater seq.")] = 0,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Follow a run until it is over. Exit code 1 when it failed."""
    status = ""
    with connect(url, key) as client:
        for recorded in client.events(run, after=after):
            say(encode(recorded).decode() if as_json else f"{recorded.seq:5}  {line(recorded)}")
            if isinstance(recorded.event, ev.RunFinished):
                status = recorded.event.status
        # With nothing left to tell, the run is asked for instead.
        status = status or client.run_status(run)["status"]
    if status != "succeeded":
        raise typer.Exit(FAILED)
