"""`flowray submit FLOW name=value ...`: run a published flow in the background."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray.client import Client, job_calls
from flowray.client.calls import RunOptions
from flowray.engine.events import Event, RunFinished
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED, INTERRUPTED, journal_of
from flowray_serve.cli.journal_line import line
from flowray_serve.cli.pairs import pair
from flowray_serve.cli.terminal import AsJson, complain, say, say_json
from flowray_serve.cli.waited import end_of


def command(
    flow: Annotated[
        str,
        typer.Argument(help="A published flow, by id or endpoint name; FLOW@VERSION for a tag or an older version."),
    ],
    values: Annotated[
        list[str] | None, typer.Argument(help="input_value=..., session=..., or NODE.FIELD=... for a field.")
    ] = None,
    *,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for its end: exit code 1 when it failed, 4 when it waits for an answer."),
    ] = False,
    wait_for_answers: Annotated[
        bool, typer.Option("--wait-for-answers", help="The same, and wait also while it waits for an answer.")
    ] = False,
    callback: Annotated[str | None, typer.Option(help="A URL that gets a signed POST at the end.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="The same key is the same run.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Run a flow in the background on the service, and say where it is."""
    options = options_of(values or [])
    with connect(url, key) as client:
        flow_id = job_calls.runnable_id(client.flow(flow), flow)
        job = client.ask(job_calls.submit(flow_id, options, callback=callback, idempotency_key=idempotency_key))
        if not (wait or wait_for_answers):
            say_json(job) if as_json else say(job["job_id"])
            return
        last = _end(client, job["job_id"], through_pauses=wait_for_answers, as_json=as_json)
        if isinstance(last, RunFinished) and last.status != "succeeded":
            failed = {**job, "status": last.status, "error": last.error}
            say_json(failed) if as_json else say(f"{last.status}: {last.error}\n{journal_of(job['job_id'])}")
            raise typer.Exit(FAILED)
        answer = client.ask(job_calls.job(job["job_id"]))
    say_json(answer) if as_json else say(
        answer["output"]["text"] or "(the flow gave no text; --json shows its results)"
    )


def _end(client: Client, run: str, *, through_pauses: bool, as_json: bool) -> Event:
    """The run's last event. That it waits is said at once: who waits for it may be the one to give the answer."""
    try:
        return end_of(
            client, run, through_pauses=through_pauses, on_pause=lambda pause: complain(f"flowray: {line(pause)}")
        )
    except KeyboardInterrupt:
        (complain if as_json else say)(f"The run goes on; follow it: flowray watch {run}")
        raise typer.Exit(INTERRUPTED) from None


def options_of(values: list[str]) -> RunOptions:
    """What `name=value` on a command line says of a run."""
    options: RunOptions = {"tweaks": {}}
    tweaks: dict[str, dict[str, str]] = {}
    for text in values:
        name, value = pair(text)
        node, dot, field = name.rpartition(".")
        if dot:
            tweaks.setdefault(node, {})[field] = value
        elif name == "session":
            options["session"] = value
        elif name == "input_value":
            options["input_value"] = value
        else:
            raise InvalidRequestError(f"`{name}` is neither input_value, session, nor a NODE.FIELD.")
    options["tweaks"] = tweaks
    return options
