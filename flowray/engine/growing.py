"""A mapping that grows by copies, as pure functions need it, without copying what was there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Growing(Mapping[_K, _V]):
    """Layers of dicts, the newest last; older copies stay valid and share their layers.

    A layer is merged into the next once that is no larger, so n changes make at most log n layers and cost n log n
    in all. A plain dict copied per event makes a run of 5,000 steps quadratic.
    """

    __slots__ = ("_layers",)

    def __init__(self, layers: tuple[dict[_K, _V], ...] = ()) -> None:
        self._layers = layers

    def with_(self, changes: Mapping[_K, _V]) -> Growing[_K, _V]:
        """A copy that also holds `changes`."""
        if not changes:
            return self
        layers, newest = self._layers, dict(changes)
        while layers and len(layers[-1]) <= len(newest):
            newest = {**layers[-1], **newest}
            layers = layers[:-1]
        return Growing((*layers, newest))

    def __getitem__(self, key: _K) -> _V:
        for layer in reversed(self._layers):
            if key in layer:
                return layer[key]
        raise KeyError(key)

    def __bool__(self) -> bool:
        return bool(self._layers)

    def __iter__(self) -> Iterator[_K]:
        return iter(self._merged())

    def __len__(self) -> int:
        return len(self._merged())

    def __repr__(self) -> str:
        return f"Growing({self._merged()!r})"

    def _merged(self) -> dict[_K, _V]:
        merged: dict[_K, _V] = {}
        for layer in self._layers:
            merged.update(layer)
        return merged
