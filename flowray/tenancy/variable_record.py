"""What is kept of a variable, its value encrypted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol

from flowray.flow.types import JsonObject
from flowray.tenancy.sealing import Sealed

VariableType = Literal["Credential", "Generic"]


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable as it is kept. A Credential's value goes to runs only; a Generic's may be read again.

    One that was `renamed` is about to go: it is kept under that name by now.
    """

    id: str
    name: str
    type: VariableType
    sealed: Sealed
    default_fields: tuple[str, ...] = ()
    created_at: float = 0.0
    changed_at: float = 0.0
    renamed: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Variable:
        """The variable that a kept record says. What a later version added is passed over."""
        known = {one.name for one in fields(cls)}
        said = {name: value for name, value in record.items() if name in known}
        return cls(**said | {"default_fields": tuple(said["default_fields"])})


class VariableRecords(Protocol):
    """Where variables are kept, as JSON, by tenant and name."""

    async def create(self, tenant: str, name: str, record: Mapping[str, Any]) -> bool:
        """Keep a new one; False when there is one of this name."""

    async def change(self, tenant: str, name: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """Replace one by what `make` makes of it; None when there is none.

        `make` is asked again when it is another one by then; `OvertakenError` when that does not end.
        """

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """All of a tenant's."""

    async def remove(self, tenant: str, name: str) -> None:
        """Forget one; it may be gone already."""


class MemoryVariableRecords:
    """Variables of one process."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Mapping[str, Any]]] = {}

    async def create(self, tenant: str, name: str, record: Mapping[str, Any]) -> bool:
        """See `VariableRecords`."""
        return self._records.setdefault(tenant, {}).setdefault(name, record) is record

    async def change(self, tenant: str, name: str, make: Callable[[JsonObject], JsonObject]) -> JsonObject | None:
        """See `VariableRecords`."""
        kept = self._records.get(tenant, {})
        if name not in kept:
            return None
        kept[name] = make(kept[name])
        return kept[name]

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """See `VariableRecords`."""
        return list(self._records.get(tenant, {}).values())

    async def remove(self, tenant: str, name: str) -> None:
        """See `VariableRecords`."""
        self._records.get(tenant, {}).pop(name, None)
