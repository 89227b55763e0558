"""`flowray check FLOW`: what is wrong with a flow, by node and field."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flowray_serve.cli.ending import FAILED
from flowray_serve.cli.standard_input import loaded
from flowray_serve.cli.terminal import AsJson, counted, say, say_json


def command(
    flow: Annotated[Path, typer.Argument(help="A Langflow export or a `.flow` file; - is an export on stdin.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Check a flow file. Exit code 1 when it has errors."""
    import flowray

    findings = flowray.check(loaded(flow))
    errors = [finding for finding in findings if finding.severity == "error"]
    if as_json:
        say_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.severity}: {finding.message} [{finding.code}]")
        say(f"{counted(len(errors), 'error')}, {counted(len(findings) - len(errors), 'warning')}")
    if errors:
        raise typer.Exit(FAILED)
