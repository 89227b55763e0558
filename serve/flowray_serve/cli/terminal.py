"""What verbs print: tables for people, JSON for programs, progress on stderr so that stdout stays clean."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, TextIO

import typer

from flowray.errors import FlowRayError

# What a terminal obeys rather than shows; ends of lines and tabs are as they should be.
_COMMANDS = re.compile(r"(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f]")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


class OutputLostError(FlowRayError):
    """What a verb prints cannot be written: a full disk, mostly."""

    code = "output_lost"


def say(text: str) -> None:
    """Print a result; `OutputLostError` when it cannot be written."""
    try:
        print(_shown(text, sys.stdout), flush=True)
    except BrokenPipeError:
        raise
    except OSError as cause:
        _drop_output()
        raise OutputLostError(f"Cannot write the output: {cause.strerror}.") from cause


def say_json(value: Any) -> None:
    """Print a result as JSON."""
    say(json.dumps(value, default=str, ensure_ascii=False))


def complain(text: str) -> None:
    """Print what went wrong, on stderr."""
    print(_shown(text, sys.stderr), file=sys.stderr, flush=True)


def _shown(text: str, stream: TextIO) -> str:
    """What components and their errors say must not move about in the terminal of whoever reads it."""
    return _COMMANDS.sub(lambda found: repr(found[0])[1:-1], text) if stream.isatty() else text


def _drop_output() -> None:
    """What is left in the buffer goes nowhere: Python would fail over it once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def mention(text: str) -> None:
    """Say something on stderr that nothing depends on: a full disk, or a reader who has gone, ends no service."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Lines about slow things, with the seconds since the start, on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._started = time.monotonic()
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        """Say what is going on."""
        if not self._quiet:
            mention(f"{time.monotonic() - self._started:6.1f} s  {text}")


def moment(at: float) -> str:
    """A time, given in seconds since the epoch, as people read it; UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def moment_of(text: str) -> str:
    """The same of a time that is given as ISO 8601 in UTC."""
    return text.replace("T", " ")[:19]


def counted(number: int, what: str) -> str:
    """A number of things, which are said to be several unless there is one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells below their titles, as aligned text."""
    lines = [[title.upper() for title in columns], *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
