"""`flowray rerun RUN --from NODE`: run again from a node, with what had finished before it."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.pairs import pair
from flowray_serve.cli.terminal import AsJson, say, say_json


def command(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    *,
    start: Annotated[str, typer.Option("--from", help="The first node to run again.")],
    values: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE or NODE.FIELD=VALUE.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Start a new run, in the background, that takes over what the old one had finished before a node."""
    with connect(url, key) as client:
        job = client.rerun(run, start=start, values=dict(map(pair, values or ())))
    if as_json:
        say_json(job)
        return
    say(f"{job['job_id']}  (follow it: flowray watch {job['job_id']})")
