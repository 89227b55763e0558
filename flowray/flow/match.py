"""Which value types fit together: Langflow renamed two of them, and both names live on in exports."""

from __future__ import annotations

from collections.abc import Iterable

_RENAMED = {"Data": "JSON", "DataFrame": "Table"}


def current(name: str) -> str:
    """Return a type's name of today."""
    return _RENAMED.get(name, name)


def fit(given: Iterable[str], wanted: Iterable[str]) -> bool:
    """Tell whether a value of one of the given types is one of the wanted ones."""
    return not {current(name) for name in given}.isdisjoint(map(current, wanted))
