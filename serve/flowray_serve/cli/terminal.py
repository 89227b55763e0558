"""What verbs print: tables for people, JSON for programs, progress on stderr so that stdout stays clean."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def say(text: str) -> None:
    """Print a result."""
    print(text, flush=True)


def say_json(value: Any) -> None:
    """Print a result as JSON."""
    print(json.dumps(value, default=str, ensure_ascii=False), flush=True)


class Progress:
    """Lines about slow things, with the seconds since the start, on stderr."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._started = time.monotonic()
        self._quiet = quiet

    def __call__(self, text: str) -> None:
        """Say what is going on."""
        if not self._quiet:
            print(f"{time.monotonic() - self._started:6.1f} s  {text}", file=sys.stderr, flush=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells below their titles, as aligned text."""
    lines = [[title.upper() for title in columns], *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
