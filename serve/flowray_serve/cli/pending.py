"""`flowray pending`: what paused runs ask people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowray.client import job_calls
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.terminal import AsJson, moment_of, say, say_json, table


def command(*, url: Url = "", key: Key = "", as_json: AsJson = False) -> None:
    """List the runs that wait for an answer, the oldest first. `flowray resume` answers one."""
    with connect(url, key) as client:
        asked = client.ask(job_calls.pending())
    if as_json:
        say_json(asked)
        return
    say(table(("run", "node", "accepted", "answers", "asks"), [_row(one) for one in asked]))


def _row(asked: Mapping[str, Any]) -> tuple[str, ...]:
    accepted = moment_of(asked["created_at"])
    answers = " | ".join(map(str, asked["allowed_decisions"])) or "-"
    return asked["job_id"], asked["node"], accepted, answers, " ".join(str(asked["prompt"] or "").split())
