"""Run as a program: every verb of the command line, given one file wherever it takes anything; says how each ended."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from flowray_serve.cli.main import app


def verbs(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """All that there are, by their words."""
    for name, command in group.commands.items():
        if getattr(command, "commands", None):
            yield from verbs(command, *above, name)
        else:
            yield " ".join((*above, name)), command


def main(file: str, *left_out: str) -> None:
    """Call them one after the other."""
    ended = {}
    for name, command in verbs(get_command(app)):
        if name not in left_out:
            given = [file for parameter in command.params if parameter.param_type_name == "argument"]
            ended[name] = CliRunner().invoke(app, [*name.split(), *given]).exit_code
    sys.stdout.write(f"{json.dumps(ended)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
