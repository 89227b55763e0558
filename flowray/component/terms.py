"""On which terms a node runs: what becomes of one that was lost midway, what is tried again, and how long it may take.

A component's author, or whoever draws the flow, writes them beside the node's needs, in `metadata.flowray`; what holds
for all nodes of a flow is written as `flowray` in its `data`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from flowray.errors import FlowFormatError
from flowray.flow.hosts import KEY, own_words
from flowray.flow.nearest import meant
from flowray.flow.shape import an_object, clipped, misfit, some_texts
from flowray.flow.types import Flow, Json

Effect = Literal["replay", "skip", "ask"]
Trouble = Literal["rate_limit", "server_error", "timeout", "lost", "wall", "crash", "memory", "error"]
"""What a node can fail of.

A provider refused it for now (429), or had an error of its own (5xx), or a call took too long or found nobody;
the sandbox was lost with its runner, ran into its wall limit, crashed, ran out of memory; or the component raised.
"""
PROVIDER_TROUBLES: Final[tuple[Trouble, ...]] = ("rate_limit", "server_error", "timeout")
# What else a flow may say of itself, read elsewhere.
_OTHERS = frozenset({"egress", "record"})
_MOST_ATTEMPTS = 20
_LONGEST_S = 366 * 86_400.0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The terms of one node.

    `effect` is what is done with a node that was started and never ended: run again, taken as done, or a person is
    asked. A node is run at most `attempts` times when it fails of something in `retry_on`, with `backoff_s` before the
    second time and twice as much before each further one. `wall_s` bounds one run of it. What it put out may be used
    again for `cache_s` seconds. `wait_s` seconds pass before it runs.
    """

    effect: Effect = "replay"
    attempts: int = 3
    backoff_s: float = 1.0
    retry_on: frozenset[str] = frozenset({*PROVIDER_TROUBLES, "lost"})
    wall_s: float | None = None
    cache_s: float = 0.0
    wait_s: float = 0.0


USUAL: Final = Terms()
FROZEN_S: Final = 30 * 86_400.0
Said = Mapping[str, Any]


def said_of_flow(flow: Flow) -> tuple[Said, float | None]:
    """Return the terms that a flow sets for all its nodes, and the seconds that a run of it may take."""
    claims = own_words(flow)
    if claims is None:
        return {}, None
    own = {name: value for name, value in an_object(claims, "The flow", KEY).items() if name not in _OTHERS}
    run_wall_s = own.pop("run_wall_s", None)
    unknown = next((name for name in own if name not in NAMES), None)
    if unknown is not None:
        hint = meant(unknown, NAMES) or f" Known are run_wall_s, {', '.join(sorted(NAMES))}."
        raise FlowFormatError(f"The flow, `{KEY}`: there is no term called `{clipped(unknown)}`.{hint}")
    limit = None if run_wall_s is None else _duration(run_wall_s, "The flow", KEY, "run_wall_s")
    return _read(own, "The flow", KEY), limit


def is_recorded(flow: Flow, *, usual: bool = False) -> bool:
    """Whether what the flow's runs hear over HTTP is kept, to replay them; where it says nothing, as is usual."""
    claims = own_words(flow)
    said = claims.get("record") if isinstance(claims, dict) else None
    return said if isinstance(said, bool) else usual


def said_of_node(metadata: Json, owner: str) -> Said:
    """Return the terms written in a component's metadata; whoever reads its needs refuses unknown names."""
    claims = metadata.get(KEY) if isinstance(metadata, dict) else None
    if claims is None:
        return {}
    return _read(an_object(claims, owner, "metadata", KEY), owner, "metadata", KEY)


def _read(claims: Mapping[str, Json], *place: str) -> Said:
    return {name: _READERS[name](value, *place, name) for name, value in claims.items() if name in _READERS}


def _effect(value: Json, *place: str) -> Effect:
    for effect in get_args(Effect):
        if value == effect:
            return effect  # type: ignore[no-any-return]  # one of them
    raise misfit("`replay`, `skip` or `ask`", value, *place)


def _attempts(value: Json, *place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_ATTEMPTS:
        raise misfit(f"a whole number from 1 to {_MOST_ATTEMPTS}", value, *place)
    return value


def _seconds(value: Json, *place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST_S:
        raise misfit("a number of seconds, at most a year", value, *place)
    return float(value)


def _duration(value: Json, *place: str) -> float:
    if value == 0:
        raise misfit("more than 0 seconds", value, *place)
    return _seconds(value, *place)


def _troubles(value: Json, *place: str) -> frozenset[str]:
    known = get_args(Trouble)
    texts = some_texts(value, *place)
    for text in texts:
        if text not in known:
            hint = meant(text, known) or f" Known are {', '.join(known)}."
            raise FlowFormatError(f"{misfit('kinds of failure', value, *place).message} `{clipped(text)}`?{hint}")
    return frozenset(texts)


_READERS: Mapping[str, Callable[..., Any]] = {
    "effect": _effect,
    "attempts": _attempts,
    "backoff_s": _seconds,
    "retry_on": _troubles,
    "wall_s": _duration,
    "cache_s": _seconds,
    "wait_s": _seconds,
}
NAMES: Final = frozenset(_READERS)
