"""`flowray runs`: what ran lately."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, moment, say, say_json, table


def command(
    *,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, newest first.")] = 20,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List the latest runs, newest first."""
    with connect(url, key) as client:
        latest = client.runs(limit=limit)
    if as_json:
        say_json(latest)
        return
    say(table(("run", "flow", "status", "accepted", "took", "asked by"), [_row(run) for run in latest]))


def _row(run: Mapping[str, Any]) -> tuple[str, ...]:
    accepted = moment(run["accepted_at"]) if "accepted_at" in run else "-"
    took = f"{run['took_s']:.3f} s" if "took_s" in run else "-"
    return (run["id"], run["flow"]["name"], run["status"], accepted, took, run.get("asked_by", "-"))
