"""`flowray usage`: what was used, by tenant, day, flow, node and model."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray.client import share_calls
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, say, say_json, table


def command(
    *,
    since: Annotated[str, typer.Option(help="The first day, such as 2026-11-01; else the first of this month.")] = "",
    until: Annotated[str, typer.Option(help="The last day; else today.")] = "",
    by: Annotated[str, typer.Option(help="Some of tenant, day, flow, node, model, apart by commas.")] = "day",
    tenant: Annotated[str, typer.Option(help="Another tenant, or `*` for all: with an operator's key.")] = "",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Show what was used: runs, steps, tokens, processor and memory time, money."""
    if as_json and as_csv:
        raise InvalidRequestError("Give --json or --csv, not both.")
    asked = {"since": since, "until": until, "by": by, "tenant": tenant}
    params = {name: value for name, value in asked.items() if value}
    with connect(url, key) as client:
        if as_csv:
            say(client.ask(share_calls.usage_csv(params)).rstrip("\n"))
            return
        rows = client.ask(share_calls.usage(params))
    if as_json:
        say_json(rows)
        return
    columns = list(rows[0]) if rows else by.split(",")
    cells = [[f"{row[name]:g}" if isinstance(row[name], float) else str(row[name]) for name in columns] for row in rows]
    say(table(columns, cells))
