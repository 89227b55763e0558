"""Which value types fit together: Langflow renamed two of them, and both names live on in exports."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

_RENAMED = {"Data": "JSON", "DataFrame": "Table"}


def current(name: str) -> str:
    """Return a type's name of today."""
    return _RENAMED.get(name, name)


def fit(given: Iterable[str], wanted: Iterable[str]) -> bool:
    """Tell whether a value of one of the given types is one of the wanted ones."""
    return fit_today(given, {current(name) for name in wanted})


def fit_today(given: Iterable[str], wanted: AbstractSet[str]) -> bool:
    """Do what `fit` does, with the wanted types by their names of today already."""
    return not {current(name) for name in given}.isdisjoint(wanted)
