"""Where a component asks to run.

Its author writes `metadata = {"flowray": {"gpu": 1, "memory_mib": 8192}}` in the class, and Langflow carries that into
every export.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flowray.component import terms
from flowray.component.spec import Needs
from flowray.errors import FlowFormatError
from flowray.flow.hosts import KEY
from flowray.flow.nearest import meant
from flowray.flow.shape import an_object, clipped, misfit, place_text
from flowray.flow.types import Json

# Beyond any machine, and far below what the ledger of quotas can count, for all nodes of a flow together.
_MOST = 2**40


def needs_of(metadata: Json, owner: str) -> Needs:
    """Return the needs written in a component's metadata; a name or a value that means nothing is refused."""
    claims = metadata.get(KEY) if isinstance(metadata, dict) else None
    if claims is None:
        return Needs()
    values: dict[str, Any] = {}
    for name, value in an_object(claims, owner, "metadata", KEY).items():
        if name in terms.NAMES:
            continue
        if name not in _READERS:
            said = f"{owner}, `metadata.{KEY}`: there is no need called `{clipped(name)}`."
            names = [*_READERS, *sorted(terms.NAMES)]
            raise FlowFormatError(said + (meant(name, names) or f" Known are {', '.join(names)}."))
        values[name] = _READERS[name](value, owner, "metadata", KEY, name)
    return Needs(**values)


def _amount(value: Json, *place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise misfit("a number of 0 or more", value, *place)
    if value > _MOST:
        raise FlowFormatError(f"{place_text(*place)}: no pool has so much. At most {_MOST:,} can be asked for.")
    return float(value)


def _whole(value: Json, *place: str) -> int:
    return math.ceil(_amount(value, *place))


def _flag(value: Json, *place: str) -> bool:
    if not isinstance(value, bool):
        raise misfit("true or false", value, *place)
    return value


def _pool(value: Json, *place: str) -> str:
    if not (isinstance(value, str) and value):
        raise misfit("the name of a pool", value, *place)
    return value


_READERS: dict[str, Callable[..., Any]] = {
    "cpu": _amount,
    "memory_mib": _whole,
    "gpu": _amount,
    "pool": _pool,
    "heavy": _flag,
    "alone": _flag,
}
