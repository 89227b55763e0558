"""Many runs of one flow, from a file of inputs: in the background, some at a time, whatever comes in between."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from flowray.client import job_calls
from flowray.client.calls import RunOptions
from flowray.client.errors import AWAY
from flowray.client.nonblocking import AsyncClient
from flowray.engine.events import RunFinished
from flowray.errors import FlowFormatError, FlowRayError, FlowTooLargeError, InvalidRequestError
from flowray.flow.document import Bounds, check_values
from flowray.flow.types import Json

T = TypeVar("T")

_BUSY = 429
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_DIGITS = 16
_TEXTS, _OBJECTS = ("input_value", "session"), ("tweaks", "variables")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One run of a batch: `line` of its file, from 1, what the run is given, and which `attempt` at that it is."""

    line: int
    options: RunOptions
    attempt: int = 0

    @property
    def digest(self) -> str:
        """What tells its options from others, however they are written."""
        return hashlib.sha256(json.dumps(self.options, sort_keys=True).encode()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What became of an item: its run's status, `refused` when no run came of it, `unknown` when nobody can tell.

    `digest` is its item's.
    """

    line: int
    status: str
    digest: str = ""
    job_id: str = ""
    text: str = ""
    error: str = ""


def read_items(lines: Iterable[str]) -> Sequence[Item]:
    """The items of a file in JSON Lines: per line an object of `RunOptions`, or a text for `input_value` alone.

    Empty lines count, but are no items. `InvalidRequestError` names the first line that is neither.
    """
    return [Item(line=at, options=_options(at, line)) for at, line in enumerate(lines, 1) if line.strip()]


def _options(at: int, line: str) -> RunOptions:
    said = _said(at, line)
    for name, value in said.items():
        if name not in _TEXTS + _OBJECTS:
            known = ", ".join(_TEXTS + _OBJECTS)
            raise InvalidRequestError(f"Line {at} of the inputs: `{name}` is nothing that a run is given ({known}).")
        if not isinstance(value, str if name in _TEXTS else dict):
            kind = "a text" if name in _TEXTS else "an object"
            raise InvalidRequestError(f"Line {at} of the inputs: `{name}` has to be {kind}.")
    return cast("RunOptions", said)


def _said(at: int, line: str) -> Mapping[str, Json]:
    """The line's object, of values that a request can carry."""
    try:
        said = json.loads(line)
    except ValueError as cause:
        raise InvalidRequestError(f"Line {at} of the inputs is not JSON: {cause}.") from None
    except RecursionError:
        raise InvalidRequestError(f"Line {at} of the inputs is nested too deep.") from None
    if isinstance(said, str):
        said = {"input_value": said}
    if not isinstance(said, dict):
        raise InvalidRequestError(f"Line {at} of the inputs is neither an object nor a text.")
    try:
        check_values(said, Bounds())
    except (FlowFormatError, FlowTooLargeError) as cause:
        raise InvalidRequestError(f"Line {at} of the inputs: {cause.message}") from None
    return said


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Runs items of a flow (its id, with `@VERSION` or not), `at_once` at a time.

    With the same `name`, an attempt at an item is the same run for as long as the service keeps idempotency keys.
    A service that is busy is waited for as long as it says so, one that is away for `patience_s`; `on_wait` hears why.
    """

    client: AsyncClient
    flow: str
    name: str
    at_once: int = 16
    patience_s: float = 600.0
    on_wait: Callable[[str], None] = field(default=lambda _: None, repr=False)
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)

    async def run(self, items: Iterable[Item]) -> AsyncGenerator[Ended, None]:
        """Yield what became of each, in the order in which they end; raises when the service stays away."""
        waiting = iter(items)
        running: set[asyncio.Task[Ended]] = set()
        try:
            while True:
                while len(running) < self.at_once and (item := next(waiting, None)) is not None:
                    running.add(asyncio.create_task(self._one(item)))
                if not running:
                    return
                over, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for one in over:
                    running.remove(one)
                    yield one.result()
        finally:
            for one in running:
                one.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _one(self, item: Item) -> Ended:
        key = f"{self.name}:{item.line}:{item.attempt}"
        submission = job_calls.submit(self.flow, item.options, idempotency_key=key)
        run = ""
        try:
            run = (await self._asked(lambda: self.client.ask(submission)))["job_id"]
            return await self._followed(item, run)
        except FlowRayError as cause:
            if cause.status in AWAY:
                raise
            status = "unknown" if run else "refused"
            return Ended(line=item.line, status=status, digest=item.digest, job_id=run, error=cause.message)

    async def _followed(self, item: Item, run: str) -> Ended:
        last = await self._asked(lambda: self._end(run))
        if last.status != "succeeded":
            return Ended(line=item.line, status=last.status, digest=item.digest, job_id=run, error=last.error or "")
        answer = await self._asked(lambda: self.client.ask(job_calls.job(run)))
        text = answer["output"]["text"] or ""
        return Ended(line=item.line, status=last.status, digest=item.digest, job_id=run, text=text)

    async def _end(self, run: str) -> RunFinished:
        async for recorded in self.client.events(run):
            if isinstance(recorded.event, RunFinished):
                return recorded.event
        raise AssertionError("events end with the run's end, or with an error")

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer, however long it takes the service to be there and to have room."""
        wait_s, away_s = _FIRST_WAIT_S, 0.0
        while True:
            try:
                return await ask()
            except FlowRayError as cause:
                if cause.status != _BUSY and (cause.status not in AWAY or away_s >= self.patience_s):
                    raise
                away_s = 0.0 if cause.status == _BUSY else away_s + wait_s
                self.on_wait(cause.message)
            await self.pause(wait_s)
            wait_s = min(_LONGEST_WAIT_S, 2 * wait_s)


def so_far(rows: Iterable[Mapping[str, Any]], items: Sequence[Item]) -> Sequence[Item]:
    """The items that are left after these rows of results: those without success, each as a further attempt.

    `InvalidRequestError` when what has succeeded is not what its line says now; one that has not may be mended.
    """
    digests = {item.line: item.digest for item in items}
    tried: dict[int, int] = {}
    done: set[int] = set()
    for row in rows:
        tried[row["line"]] = tried.get(row["line"], 0) + 1
        if row["status"] == "succeeded":
            _check_same(row, digests.get(row["line"]))
            done.add(row["line"])
    return [
        Item(line=item.line, options=item.options, attempt=tried.get(item.line, 0))
        for item in items
        if item.line not in done
    ]


def _check_same(row: Mapping[str, Any], digest: str | None) -> None:
    """A row from before there were digests is believed."""
    if row.get("digest", digest) != digest:
        raise InvalidRequestError(
            f"Line {row['line']} of the inputs is not the one that has succeeded: "
            "go on with the inputs as they were, or name another file for the results (--out)."
        )
