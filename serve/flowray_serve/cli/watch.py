"""`flowray watch RUN`: a run's journal, live or afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from flowray.engine import events as ev
from flowray.engine.codec import encode
from flowray.engine.failures import paused
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.ending import FAILED
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
    failed = False
    with connect(url, key) as client:
        for recorded in client.events(run, after=after):
            say(encode(recorded).decode() if as_json else f"{recorded.seq:5}  {_line(recorded)}")
            failed = isinstance(recorded.event, ev.RunFinished) and recorded.event.status != "succeeded"
    if failed:
        raise typer.Exit(FAILED)


def _line(recorded: ev.Recorded) -> str:
    match recorded.event:
        case ev.NodeFinished(node=node, took_s=took):
            return f"{node} finished in {took * 1000:.1f} ms"
        case ev.NodeFailed(node=node, error=error):
            return f"{node} failed: {error}"
        case ev.Token(node=node, text=text) | ev.Log(node=node, text=text):
            return f"{node or 'run'}: {text.rstrip()}"
        case ev.StepStarted(step=step, runner=runner, queued_s=queued):
            return f"{step} started on {runner} after {queued * 1000:.1f} ms"
        case ev.RunFinished(status=status, error=error):
            return f"{status}{': ' if error else ''}{error}"
        case _:
            return _in_short(recorded)


def _in_short(recorded: ev.Recorded) -> str:
    event = recorded.event
    if isinstance(event, ev.RunPaused):
        return paused(recorded.run, event).message
    if isinstance(event, ev.ConnectionEnded):
        return _connection(event)
    if isinstance(event, ev.ChildStarted):
        return f"{event.step} runs {event.flow_name or event.flow} as {event.child}"
    facts = [str(getattr(event, name)) for name in ("node", "step", "flow_name", "engine") if hasattr(event, name)]
    return " ".join([type(event).__name__, *facts])


def _connection(ended: ev.ConnectionEnded) -> str:
    why = f": {ended.reason}" if ended.reason else ""
    amounts = f"{ended.up_bytes} bytes up, {ended.down_bytes} down, {ended.took_ms:.0f} ms"
    return f"{ended.step} {ended.verdict} {ended.host or '?'}:{ended.port}{why} ({amounts})"
