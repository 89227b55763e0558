"""What things cost: the operator's table, in whatever money it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

_MILLION, _HOUR_S = 1_000_000, 3_600
_ANY = "*"


@dataclass(frozen=True)
class Price:
    """A million tokens, read and written."""

    input: float = 0.0
    output: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of models by the beginning of their names (`*` is any other), of processor time and of memory."""

    models: Mapping[str, Price] = field(default_factory=dict)
    cpu_hour: float = 0.0
    memory_gib_hour: float = 0.0

    @cached_property
    def _longest_first(self) -> tuple[str, ...]:
        return tuple(sorted((name for name in self.models if name != _ANY), key=len, reverse=True))

    def of_tokens(self, model: str, *, read: int, written: int) -> float:
        """What a call of a model costs."""
        named = next((name for name in self._longest_first if model.startswith(name)), _ANY)
        price = self.models.get(named, Price())
        return (read * price.input + written * price.output) / _MILLION

    def of_work(self, *, cpu_s: float, memory_gib_s: float) -> float:
        """What a step costs."""
        return (cpu_s * self.cpu_hour + memory_gib_s * self.memory_gib_hour) / _HOUR_S
