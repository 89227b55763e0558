"""`flowray deadletters`: background runs, callbacks and notices that were given up; list them, or drive them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from flowray.client import job_calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.terminal import AsJson, moment, say, say_json, table

_REASON_CHARS = 80


def command(
    ids: Annotated[list[str] | None, typer.Argument(help="Dead letters by id; none for all that fit.")] = None,
    *,
    redrive: Annotated[bool, typer.Option("--redrive", help="Drive them again.")] = False,
    what: Annotated[str, typer.Option(help="run, callback or notice.")] = "",
    kind: Annotated[str, typer.Option(help="The failure's kind, such as lost, timeout, component.")] = "",
    flow: Annotated[str, typer.Option(help="The flow's id, name or endpoint name.")] = "",
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """List what was given up, with the reason; with --redrive, drive it again. Exit code 1 when some cannot be."""
    with connect(url, key) as client:
        if redrive:
            wanted = {"ids": ids or [], "what": what, "kind": kind, "flow": flow}
            rows = client.ask(job_calls.redrive(wanted if any(wanted.values()) else {"all": True}))
            say_json(rows) if as_json else say(table(("dead letter", "run"), [_became(row) for row in rows]))
            if any("error" in row for row in rows):
                raise typer.Exit(FAILED)
            return
        letters = client.ask(job_calls.dead_letters(what=what, kind=kind, flow=flow))
    shown = [letter for letter in letters if not ids or letter["id"] in ids]
    say_json(shown) if as_json else say(table(("id", "flow", "kind", "at", "reason"), [_row(one) for one in shown]))


def _became(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (row["id"], row.get("run") or row.get("error", ""))


def _row(letter: Mapping[str, Any]) -> tuple[str, ...]:
    at = moment(letter["at"])
    return (letter["id"], letter["flow_name"], letter["kind"], at, letter["reason"][:_REASON_CHARS])
