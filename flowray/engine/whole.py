"""Events with what the journal keeps elsewhere put back: for whoever shows a run's results, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from flowray.engine.codec import loads
from flowray.engine.events import Event, MessageAdded, NodeFinished, Recorded
from flowray.engine.ports import Objects
from flowray.engine.values import Ref


async def whole(recorded: Recorded, objects: Objects) -> Recorded:
    """The event with its large result or message; `NotFoundError` when the store has lost it."""
    match recorded.event:
        case NodeFinished(result_ref=Ref() as ref) as finished:
            event: Event = replace(finished, result=await _read(ref, objects), result_ref=None)
        case MessageAdded(message_ref=Ref() as ref) as added:
            event = replace(added, message=await _read(ref, objects), message_ref=None)
        case _:
            return recorded
    return replace(recorded, event=event)


async def all_whole(told: Iterable[Recorded], objects: Objects) -> list[Recorded]:
    """All these events; small ones cost nothing."""
    return [await whole(one, objects) for one in told]


async def _read(ref: Ref, objects: Objects) -> Any:
    return loads(await objects.get(ref.key))
