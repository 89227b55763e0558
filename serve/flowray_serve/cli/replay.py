"""`flowray replay RUN`: run again with recorded answers, and say where it first differs."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray.client import calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, counted, say, say_json
from flowray_serve.cli.waited import end_of


def command(
    run: Annotated[str, typer.Argument(help="The recorded run's id.")],
    *,
    flow: Annotated[str | None, typer.Option(help="A version of its flow, or another FLOW or FLOW@VERSION.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Replay a run without reaching anybody. Exit code 1: a node came to something else; 4: it waits for an answer."""
    with connect(url, key) as client:
        job = client.ask(calls.replay(run, flow))
        end_of(client, job["job_id"])
        found = client.ask(calls.differences(job["job_id"], run))
    if as_json:
        say_json({"run": job["job_id"], "differences": found})
    elif found:
        first = found[0]
        say(f"First difference at {first['node']}:\n  before: {first['before']}\n  now:    {first['now']}")
        say(f"{counted(len(found), 'node')} came to something else; all with --json.")
    else:
        say(f"No difference ({job['job_id']}).")
    if found:
        raise typer.Exit(FAILED)
