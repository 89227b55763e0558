"""What happened, and what must never have: a pure check over all journals and the ledger of the world outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.flows import KINDS, REPEATED, said

Event = Mapping[str, Any]
Order = Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A run that the service said it had taken (or, for `sync`, had answered), and when.

    `cancelled`: its stop was confirmed.
    """

    run: str
    label: str
    kind: str
    at: float = 0.0
    cancelled: bool = False


@dataclass(frozen=True, kw_only=True)
class History:
    """All that was seen.

    Accepted runs, their journals by run, how often each label's effect was seen outside, the answers that were
    confirmed by run, which node comes before which by kind, and how much was seen outside at one time and may be.
    """

    accepted: Sequence[Accepted]
    journals: Mapping[str, Sequence[Event]]
    effects: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    order: Mapping[str, Order] = field(default_factory=dict)
    at_once: int = 0
    quota: int | None = None


def faults(history: History) -> list[str]:
    """Everything that may not be, one line each."""
    found: list[str] = []
    for one in history.accepted:
        events = history.journals.get(one.run, ())
        found += [f"{one.kind} {one.run}: {what}" for what in _of_run(one, events, history)]
    if history.quota is not None and history.at_once > history.quota:
        found.append(f"{history.at_once} steps were seen at work at one time, and {history.quota} may be")
    return found


def endings(history: History) -> Counter[str]:
    """How the accepted runs ended, by kind and status, with the failure's kind."""
    told: Counter[str] = Counter()
    for one in history.accepted:
        end = _end(history.journals.get(one.run, ()))
        status = "without an end" if end is None else end["status"]
        why = f" ({end.get('failure')})" if end is not None and status == "failed" else ""
        told[f"{one.kind} {status}{why}"] += 1
    return told


def _of_run(one: Accepted, events: Sequence[Event], history: History) -> Iterable[str]:
    if not events:
        yield "it is lost"
        return
    if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
        yield "its numbers have a gap or a repeat"
    yield from _of_end(one, events)
    yield from _again(events)
    yield from _out_of_order(events, history.order.get(one.kind, ()))
    yield from _of_effects(one, events, history.effects)
    yield from _of_answers(events, history.answers.get(one.run, ()))
    yield from _of_value(one, events)


def _of_end(one: Accepted, events: Sequence[Event]) -> Iterable[str]:
    ends = [event for event in events if event["kind"] == "run_finished"]
    if len(ends) != 1 or events[-1] is not ends[0]:
        yield f"it has {len(ends)} ends"
        return
    if one.cancelled and ends[0]["status"] != "cancelled":
        yield f"its stop was confirmed, and it {ends[0]['status']}"
    if one.kind == "sync" and ends[0]["status"] != "succeeded":
        yield f"its caller has its answer, and it {ends[0]['status']}"


def _again(events: Sequence[Event]) -> Iterable[str]:
    """What has finished may not begin again, a loop and its body aside."""
    finished: set[str] = set()
    for event in events:
        if event["kind"] == "node_finished":
            finished.add(event["node"])
        elif event["kind"] == "node_started" and event["node"] in finished - REPEATED:
            yield f"node {event['node']} had finished and ran again"


def _out_of_order(events: Sequence[Event], order: Order) -> Iterable[str]:
    """No node begins before those that it hangs on are done, and none ends that has not begun."""
    started, done = _first(events, "node_started"), _first(events, "node_finished") | _passed(events)
    for before, after in order:
        if after in started and done.get(before, len(events) + 1) > started[after]:
            yield f"node {after} began before {before} was done"
    for node in done.keys() - started.keys() - _passed(events).keys():
        yield f"node {node} ended and had not begun"


def _of_effects(one: Accepted, events: Sequence[Event], effects: Mapping[str, int]) -> Iterable[str]:
    kind, count, end = KINDS[one.kind], effects.get(one.label, 0), _end(events)
    allowed = 1 + sum(1 for event in events if event["kind"] == "run_resumed" and _action(event) == "replay")
    if kind.effect in {"skip", "ask"} and count > allowed:
        yield f"its effect happened {count} times, and was asked for {allowed} times"
    succeeded = end is not None and end["status"] == "succeeded"
    if kind.effect == "replay" and succeeded and count < kind.effects:
        yield f"it succeeded, and its effect happened {count} times"


def _of_answers(events: Sequence[Event], answers: Sequence[tuple[str, str]]) -> Iterable[str]:
    """An answer that was confirmed counts, and no question is answered twice."""
    taken = [(event["request_id"], _action(event)) for event in events if event["kind"] == "run_resumed"]
    for request, count in Counter(request for request, _ in taken).items():
        if count > 1:
            yield f"{request} was answered {count} times"
    for answer in answers:
        if answer not in taken:
            yield f"the answer {answer} was confirmed, and is nowhere"


def _of_value(one: Accepted, events: Sequence[Event]) -> Iterable[str]:
    """What it says is what was asked of it, unless a node was passed over or a person closed the way."""
    end = _end(events)
    if end is None or end["status"] != "succeeded" or _passed(events):
        return
    told = [event for event in events if event["kind"] == "node_finished" and event["node"].startswith("ChatOutput")]
    rejected = any(event["kind"] == "run_resumed" and _action(event) == "reject" for event in events)
    if rejected:
        if told:
            yield "it was rejected, and went on"
    elif len(told) != 1:
        yield f"it succeeded and said something {len(told)} times"
    elif (text := told[0]["outputs"]["message"]["json"]["text"]) != said(one.kind, one.label)[1]:
        yield f"it says {text[:200]!r}"


def _first(events: Sequence[Event], kind: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for event in events:
        if event["kind"] == kind:
            found.setdefault(event["node"], event["seq"])
    return found


def _passed(events: Sequence[Event]) -> dict[str, int]:
    """The nodes that were taken as done, and since when."""
    found: dict[str, int] = {}
    for event in events:
        by_rule = event["kind"] == "node_decided" and event["decision"] == "skip"
        by_person = event["kind"] == "run_resumed" and _action(event) == "skip"
        if by_rule or by_person:
            found.setdefault(event["node"], event["seq"])
    return found


def _action(event: Event) -> str:
    decision = event.get("decision")
    return str(decision.get("action_id", "")) if isinstance(decision, Mapping) else ""


def _end(events: Sequence[Event]) -> Event | None:
    return events[-1] if events and events[-1]["kind"] == "run_finished" else None
