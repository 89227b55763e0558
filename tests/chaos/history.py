"""What happened, and what must never have: a pure check over all journals and the ledger of the world outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["echo", "skip", "replay", "cancel", "webhook", "sync"]
Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A run that the service said it had taken (or, for `sync`, had answered). `cancelled`: its stop was confirmed."""

    run: str
    label: str
    kind: Kind
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class History:
    """Accepted runs, their journals by run, and how often each label was seen outside."""

    accepted: Sequence[Accepted]
    journals: Mapping[str, Sequence[Event]]
    effects: Mapping[str, int] = field(default_factory=dict)


def faults(history: History) -> list[str]:
    """Everything that may not be, one line each."""
    found: list[str] = []
    for one in history.accepted:
        events = history.journals.get(one.run, ())
        found += [f"{one.kind} {one.run}: {what}" for what in _of_run(one, events)]
        found += [f"{one.kind} {one.run}: {what}" for what in _of_effects(one, events, history.effects)]
    return found


def endings(history: History) -> Counter[str]:
    """How the accepted runs ended, by kind and status, with the failure's kind."""
    told: Counter[str] = Counter()
    for one in history.accepted:
        end = _end(history.journals.get(one.run, ()))
        status = "lost" if end is None else end["status"]
        why = f" ({end.get('failure')})" if end is not None and status == "failed" else ""
        told[f"{one.kind} {status}{why}"] += 1
    return told


def _of_run(one: Accepted, events: Sequence[Event]) -> Iterable[str]:
    if not events:
        yield "it is lost"
        return
    if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
        yield "its numbers have a gap or a repeat"
    ends = [event for event in events if event["kind"] == "run_finished"]
    if len(ends) != 1 or events[-1] is not ends[0]:
        yield f"it has {len(ends)} ends"
        return
    if one.cancelled and ends[0]["status"] != "cancelled":
        yield f"its stop was confirmed, and it {ends[0]['status']}"
    if one.kind == "sync" and ends[0]["status"] != "succeeded":
        yield f"its caller has its answer, and it {ends[0]['status']}"
    yield from _again(events)


def _again(events: Sequence[Event]) -> Iterable[str]:
    """None of these flows has a loop: what has finished may not begin again."""
    finished: set[str] = set()
    for event in events:
        if event["kind"] == "node_finished":
            finished.add(event["node"])
        elif event["kind"] == "node_started" and event["node"] in finished:
            yield f"node {event['node']} had finished and ran again"


def _of_effects(one: Accepted, events: Sequence[Event], effects: Mapping[str, int]) -> Iterable[str]:
    count = effects.get(one.label, 0)
    end = _end(events)
    if one.kind == "skip" and count > 1:
        yield f"its effect happened {count} times"
    if one.kind == "replay" and end is not None and end["status"] == "succeeded" and count < 1:
        yield "it succeeded without its effect"


def _end(events: Sequence[Event]) -> Event | None:
    return events[-1] if events and events[-1]["kind"] == "run_finished" else None
