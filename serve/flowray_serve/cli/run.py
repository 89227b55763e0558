"""`flowray run FLOW name=value ...`: a file runs here, without a service; a published flow runs on the service."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from flowray.client import Client, calls
from flowray.engine.events import RunId, RunPaused
from flowray.engine.failures import RunFailedError, RunPausedError, RunTimeoutError
from flowray.engine.outcome import Answer
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, connect
from flowray_serve.cli.journal_line import waiting
from flowray_serve.cli.pairs import pair
from flowray_serve.cli.standard_input import INPUT, loaded
from flowray_serve.cli.submit import options_of
from flowray_serve.cli.terminal import AsJson, say, say_json

_NAME = re.compile(r"[A-Za-z0-9_-]+(@[A-Za-z0-9._-]+)?")


def command(
    flow: Annotated[
        str,
        typer.Argument(help="A Langflow export or a `.flow` file, - for an export on stdin, or a published flow."),
    ],
    values: Annotated[
        list[str] | None, typer.Argument(help="input_value=..., session=..., or NODE.FIELD=... for a field.")
    ] = None,
    *,
    variables: Annotated[
        list[str] | None, typer.Option("--variable", "-v", help="NAME=VALUE, or NAME to take it from the environment.")
    ] = None,
    egress: Annotated[list[str] | None, typer.Option(help="A host the flow may reach, HOST or HOST:PORT.")] = None,
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Run a flow and print its answer: a file in a sandbox of this machine, a published flow on the service."""
    given = dict(_variable(each) for each in variables or ())
    if _is_published(flow):
        with connect(url, key) as client:
            answer = _there(client, flow, {**options_of(values or []), "variables": given})
    else:
        answer = _here(flow, values or [], given, egress or [])
    if as_json:
        say_json({"run": answer.run, "text": answer.text, "results": answer.results})
        return
    say(answer.text if answer.text is not None else "(the flow gave no text; --json shows its results)")


def _is_published(flow: str) -> bool:
    """Whether this names no file and could name no file that is missing."""
    return Path(flow) != INPUT and not Path(flow).exists() and _NAME.fullmatch(flow) is not None


def _there(client: Client, flow: str, options: calls.RunOptions) -> Answer:
    try:
        return client.ask(calls.run(flow, options))
    except RunTimeoutError as error:
        raise RunTimeoutError(_too_long(flow), error.run, {"run": error.run}) from error
    except RunPausedError as error:
        pause = RunPaused(request=error.facts.get("human_request"), until=error.facts.get("until"))
        raise waiting(RunId(error.run), pause) from error
    except RunFailedError as error:
        error.facts["run"] = error.run  # whose journal the service has
        raise


def _too_long(flow: str) -> str:
    return (
        "The run took longer than the service lets anybody wait, and was stopped. "
        f"Run it in the background: flowray submit {flow} --wait"
    )


def _here(flow: str, values: list[str], variables: dict[str, str], egress: list[str]) -> Answer:
    import flowray

    pairs = dict(map(pair, values))
    return flowray.run(loaded(Path(flow)), variables=variables, egress=tuple(egress), **pairs)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name:
        raise InvalidRequestError(f"`{text}` names no variable. Write --variable NAME=VALUE.")
    if equals:
        return name, value
    if name not in os.environ:
        raise InvalidRequestError(f"The variable `{name}` is not in the environment. Give it: --variable {name}=VALUE")
    return name, os.environ[name]
