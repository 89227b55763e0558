"""What a step may ask of the world outside its walls: the port that answers, and the desk that shares the work out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from flowray.engine.events import StepEvent
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError
from flowray.flow.types import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """One question, or one thing told. The channel it came on says whose it is; nothing in it does.

    `blob` are the bytes that came with it. `step` is the one that asks, as its Runner knows it; `tell` puts an event of
    what is being done for it into its run's journal.
    """

    what: str
    details: Mapping[str, Json] = field(default_factory=dict)
    blob: bytes | None = None
    step: str = ""
    tell: Callable[[StepEvent], None] | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What the sandbox is told: a JSON value, and bytes when there are many."""

    value: Json = None
    blob: bytes | None = None


class NotAnsweredError(FlowRayError):
    """A sandbox asked for something that is not given here."""

    code = "not_answered"
    fault = "component"
    status = 422


class Answers(Protocol):
    """Answers what the steps of a run ask, for that run's tenant and for nobody else."""

    async def answer(self, request: RunRequest, ask: Ask) -> Answer:
        """The answer; a `FlowRayError` is told to the component, in its message."""

    async def note(self, request: RunRequest, told: Sequence[Ask]) -> None:
        """Take what steps tell without waiting; an error fails the step."""


Clerk = Callable[[RunRequest, Ask], Awaitable[Answer]]
Scribe = Callable[[RunRequest, Sequence[Ask]], Awaitable[None]]


class Desk:
    """Gives each question to who can answer it, by its kind; what nobody here knows goes on to `otherwise`."""

    def __init__(
        self,
        clerks: Mapping[str, Clerk] | None = None,
        scribes: Mapping[str, Scribe] | None = None,
        *,
        otherwise: Answers | None = None,
    ) -> None:
        self._clerks = clerks or {}
        self._scribes = scribes or {}
        self._otherwise = otherwise

    async def answer(self, request: RunRequest, ask: Ask) -> Answer:
        """See `Answers`."""
        clerk = self._clerks.get(ask.what)
        if clerk is not None:
            return await clerk(request, ask)
        if self._otherwise is not None:
            return await self._otherwise.answer(request, ask)
        raise NotAnsweredError(f"`{ask.what[:80]}` cannot be asked for here.")

    async def note(self, request: RunRequest, told: Sequence[Ask]) -> None:
        """See `Answers`."""
        for what in dict.fromkeys(ask.what for ask in told):
            scribe = self._scribes.get(what)
            if scribe is not None:
                await scribe(request, [ask for ask in told if ask.what == what])

    def before(self, otherwise: Answers | None) -> Desk:
        """The same desk, with somebody else to go on to."""
        return Desk(self._clerks, self._scribes, otherwise=otherwise) if otherwise is not None else self
