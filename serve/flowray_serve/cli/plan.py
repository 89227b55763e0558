"""`flowray plan FLOW`: the steps a flow would run in, and why."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flowray.errors import InvalidRequestError
from flowray_serve.cli.standard_input import loaded
from flowray_serve.cli.terminal import AsJson, say, say_json


class Fusing(StrEnum):
    """How eagerly nodes share a sandbox."""

    auto = "auto"
    none = "none"


def command(
    flow: Annotated[Path, typer.Argument(help="A Langflow export or a `.flow` file; - is an export on stdin.")],
    *,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid diagram.")] = False,
    fusion: Annotated[Fusing, typer.Option(help="none: a step per node wherever its values can travel.")] = Fusing.auto,
    as_json: AsJson = False,
) -> None:
    """Print the plan of a flow: its steps, what is together, what is apart, and why."""
    import flowray
    from flowray.plan.show import as_json as plan_json
    from flowray.plan.show import as_mermaid, as_table

    if as_json and mermaid:
        raise InvalidRequestError("Give --json or --mermaid, not both.")
    document = loaded(flow)
    planned = flowray.plan(document, fusion=fusion.value)
    if as_json:
        say_json(plan_json(planned))
        return
    say(as_mermaid(planned, document) if mermaid else as_table(planned, document))
