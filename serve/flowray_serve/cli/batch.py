"""`flowray batch FLOW INPUTS`: run a published flow for each line of a file, in the background."""

from __future__ import annotations

import asyncio
import time
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flowray.client import AsyncClient, job_calls
from flowray.client.batch import Batch, Item, read_items, so_far
from flowray.errors import InvalidRequestError
from flowray_serve.cli.connection import Key, Url, address
from flowray_serve.cli.ending import FAILED, INTERRUPTED
from flowray_serve.cli.results_file import ResultsFile
from flowray_serve.cli.standard_input import INPUT, read_input
from flowray_serve.cli.terminal import AsJson, Progress, complain, say, say_json

_MOST_AT_ONCE = 64
_TOLD_EVERY_S = 5.0


def command(
    flow: Annotated[
        str,
        typer.Argument(help="A published flow, by id or endpoint name; FLOW@VERSION for a tag or an older version."),
    ],
    inputs: Annotated[
        Path,
        typer.Argument(
            help="JSON Lines: a text, or an object with input_value, session, tweaks, variables. - is stdin."
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Where results go; the same command goes on from there. Default: stdout.")
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=_MOST_AT_ONCE, help="How many runs are under way at a time.")] = 16,
    name: Annotated[
        str, typer.Option(help="The same name and line are the same run, for a day. Default: one of its own.")
    ] = "",
    url: Url = "",
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Run a flow in the background for each line of a file. Exit code 1 when not all have succeeded."""
    items = read_items(_lines(inputs))
    results = ResultsFile(out, flow=flow, name=name)
    tally = _Tally(len(items), so_far(results.rows, items))
    try:
        asyncio.run(_run(address(url, key), flow, at_once, results, tally))
    except KeyboardInterrupt:
        then = "the same command goes on from there" if out else "with --out one can go on from there"
        complain(f"flowray: stopped; {tally.text}; the service ends what runs, and {then}")
        raise typer.Exit(INTERRUPTED) from None
    if out is not None:
        say_json({"batch": results.name, **tally.counts}) if as_json else say(tally.text)
    if tally.counts["succeeded"] < len(items):
        raise typer.Exit(FAILED)


class _Tally:
    """How many items there are, and what has become of them."""

    def __init__(self, items: int, left: Sequence[Item]) -> None:
        self.left = list(left)
        self.counts = Counter(items=items, succeeded=items - len(left))
        self._progress = Progress()
        self._told_at = time.monotonic()

    @property
    def text(self) -> str:
        """For people."""
        ends = ", ".join(f"{count} {status}" for status, count in self.counts.items() if status != "items")
        return f"{self.counts['items']} items: {ends}"

    def add(self, status: str) -> None:
        """Count one, and say now and then how far it is."""
        self.counts[status] += 1
        self._tell(self.text)

    def wait(self, why: str) -> None:
        """Say now and then what is waited for."""
        self._tell(f"{self.text}; waits: {why}")

    def _tell(self, text: str) -> None:
        if time.monotonic() - self._told_at >= _TOLD_EVERY_S:
            self._told_at = time.monotonic()
            self._progress(text)


def _lines(inputs: Path) -> Sequence[str]:
    try:
        content = read_input() if inputs == INPUT else inputs.read_bytes()
    except OSError as cause:
        raise InvalidRequestError(f"Cannot read {inputs}: {cause.strerror}.") from None
    return [_text(at, line) for at, line in enumerate(content.removeprefix(BOM_UTF8).split(b"\n"), 1)]


def _text(at: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as cause:
        raise InvalidRequestError(f"Line {at} of the inputs is not UTF-8: {cause}.") from None


async def _run(service: tuple[str, str], flow: str, at_once: int, results: ResultsFile, tally: _Tally) -> None:
    async with AsyncClient(*service) as client:
        flow_id = job_calls.runnable_id(await client.flow(flow), flow)
        batch = Batch(client=client, flow=flow_id, name=results.name, at_once=at_once, on_wait=tally.wait)
        with results:
            async for ended in batch.run(tally.left):
                results.add(ended)
                tally.add(ended.status)
