"""`flowray replay RUN`: run again with recorded answers, and say where it first differs."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray.client import calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, say, say_json


def command(
    run: Annotated[str, typer.Argument(help="The recorded run's id.")],
    *,
    flow: Annotated[str | None, typer.Option(help="A version of its flow, or another FLOW or FLOW@VERSION.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Replay a run without reaching anybody. Exit code 1 when a node comes to something else."""
    with connect(url, key) as client:
        job = client.ask(calls.replay(run, flow))
        for _ in client.events(job["job_id"]):
            pass
        found = client.ask(calls.differences(job["job_id"], run))
    if as_json:
        say_json({"run": job["job_id"], "differences": found})
    elif found:
        first = found[0]
        say(f"First difference at {first['node']}:\n  before: {first['before']}\n  now:    {first['now']}")
        say(f"{len(found)} nodes differ; all with --json.")
    else:
        say(f"No difference ({job['job_id']}).")
    if found:
        raise typer.Exit(FAILED)
