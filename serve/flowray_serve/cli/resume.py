"""`flowray resume RUN ANSWER`: answer a paused run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from flowray.client import job_calls
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.pairs import pair
from flowray_serve.cli.terminal import AsJson, say, say_json

_Asked = Mapping[str, Any]


def command(
    run: Annotated[str, typer.Argument(help="The run's id.")],
    answer: Annotated[str, typer.Argument(help="One of the answers that `flowray pending` shows.")],
    values: Annotated[list[str] | None, typer.Argument(help="name=value: what goes with the answer.")] = None,
    *,
    request: Annotated[str, typer.Option(help="Which question, by its id, where a run asks several.")] = "",
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Answer what a paused run asks; the rest of it runs in the background."""
    given = dict(pair(text, example="comment=Fine") for text in values or ())
    with connect(url, key) as client:
        asked = _question([one for one in client.ask(job_calls.pending()) if one["job_id"] == run], run, request)
        resumed = client.ask(
            job_calls.resume(run, request_id=asked["request_id"], decision={"action_id": answer, "values": given})
        )
    if as_json:
        say_json(resumed)
        return
    say(f"{run} goes on  (follow it: flowray watch {run})")


def _question(asked: Sequence[_Asked], run: str, request: str) -> _Asked:
    found = [one for one in asked if request in ("", one["request_id"])]
    if len(found) == 1:
        return found[0]
    if not asked:
        raise InvalidRequestError(f"Run `{run}` waits for no answer. `flowray pending` lists the runs that do.")
    known = ", ".join(f"{one['request_id']} (of {one['node']})" for one in asked)
    raise InvalidRequestError(f"Name one of the run's questions with --request: {known}.")
