"""Which values may leave their sandbox: those that are typed JSON. Live objects stay, and so do the nodes they join."""

from __future__ import annotations

from collections.abc import Iterable

from flowray.flow.match import current

# A closed list: a type nobody vouches for is held to be a live object.
_TRAVELS = frozenset(
    {
        "Message",
        "JSON",
        "Table",
        "Text",
        "str",
        "int",
        "float",
        "bool",
        "bytes",
        "list",
        "dict",
        "None",
        "NoneType",
    }
)


def stays(types: Iterable[str]) -> tuple[str, ...]:
    """Return those of the types whose values cannot leave their sandbox."""
    return tuple(name for name in types if current(name) not in _TRAVELS)
