"""What the two ends of a lane say to each other."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import NamedTuple

from flowray.engine.commands import StartStep
from flowray.engine.events import StepEvent
from flowray.engine.ports import RunRequest
from flowray.errors import FlowRayError
from flowray.flow.types import Flow
from flowray.plan.types import Plan
from flowray.runner.asking import Answer, Ask


class Drawing(NamedTuple):
    """To the Runner: a flow with its plan, under a key that later starts refer to (see `shelf`)."""

    key: int
    flow: Flow
    plan: Plan


class Start(NamedTuple):
    """To the Runner: run this step. `request` comes without its flow and plan; those are the ones of `drawing`."""

    call: int
    drawing: int
    request: RunRequest
    step: StartStep


class Cancel(NamedTuple):
    """To the Runner: stop this call; nobody waits for its end."""

    call: int


class Happened(NamedTuple):
    """To the engine: what happened in a call, and whether that was its end."""

    call: int
    events: Sequence[StepEvent]
    last: bool


class Leaving(NamedTuple):
    """To the engine: what runs will be finished, but nothing new is taken."""


class Asked(NamedTuple):
    """To the engine: a step of this call asks something that its Runner cannot answer."""

    call: int
    number: int
    ask: Ask


class Dropped(NamedTuple):
    """To the engine: nobody waits for this answer any more."""

    call: int
    number: int


class Answered(NamedTuple):
    """To the Runner: the answer to a question, or why there is none."""

    call: int
    number: int
    answer: Answer | None
    error: FlowRayError | None


class Recorded(NamedTuple):
    """To the Runner: what happened in a call is on record, where a node waits for that."""

    call: int


Message = Drawing | Start | Cancel | Happened | Leaving | Asked | Dropped | Answered | Recorded


def encode(message: Message) -> bytes:
    """Return a message as bytes."""
    return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)


def decode(payload: bytes) -> Message:
    """Return the message of these bytes, which come from a peer that has proved itself one of ours (see `proof`)."""
    message: Message = pickle.loads(payload)  # noqa: S301 - never from a sandbox, never before the proof
    return message
