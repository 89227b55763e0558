"""`flowray run FLOW name=value ...`: run one flow file here, no service, the same engine and sandbox."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from flowray.errors import InvalidRequestError
from flowray_serve.cli.terminal import AsJson, say, say_json


def command(
    flow: Annotated[Path, typer.Argument(help="A Langflow export.")],
    values: Annotated[
        list[str] | None, typer.Argument(help="input_value=..., session=..., or NODE.FIELD=... for a field.")
    ] = None,
    *,
    variables: Annotated[
        list[str] | None, typer.Option("--variable", "-v", help="NAME=VALUE, or NAME to take it from the environment.")
    ] = None,
    egress: Annotated[list[str] | None, typer.Option(help="A host the flow may reach, HOST or HOST:PORT.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a flow file in a sandbox on this machine and print its answer."""
    import flowray

    answer = flowray.run(
        flowray.load(flow),
        variables=dict(_variable(each) for each in variables or ()),
        egress=tuple(egress or ()),
        **dict(_pair(each) for each in values or ()),
    )
    if as_json:
        say_json({"run": answer.run, "text": answer.text, "results": answer.results})
        return
    say(answer.text if answer.text is not None else "(the flow gave no text; --json shows its results)")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequestError(f"`{text}` is not name=value. Example: input_value=Hello or Prompt-1.template=Hi")
    return name, value


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals:
        return name, value
    if name not in os.environ:
        raise InvalidRequestError(f"The variable `{name}` is not in the environment. Give it: --variable {name}=VALUE")
    return name, os.environ[name]
