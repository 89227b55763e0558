"""A tenant's variables: settings and secrets that its flows refer to by name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Protocol, get_args

from flowray.errors import ConflictError, InvalidRequestError, NotFoundError
from flowray.tenancy.news import News, Remembered
from flowray.tenancy.sealing import Sealed, Sealer

VariableType = Literal["Credential", "Generic"]
_KIND = "variables"
_LIMIT = 1_000
_NAME_LIMIT_CHARS, _VALUE_LIMIT_CHARS = 256, 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A variable as it is kept. A Credential's value goes to runs only; a Generic's may be read again."""

    id: str
    name: str
    type: VariableType
    sealed: Sealed
    default_fields: tuple[str, ...] = ()
    created_at: float = 0.0
    changed_at: float = 0.0

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

    async def save(self, tenant: str, name: str, record: Mapping[str, Any]) -> None:
        """Replace one."""

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

    async def save(self, tenant: str, name: str, record: Mapping[str, Any]) -> None:
        """See `VariableRecords`."""
        self._records.setdefault(tenant, {})[name] = record

    async def list(self, tenant: str) -> Sequence[Mapping[str, Any]]:
        """See `VariableRecords`."""
        return list(self._records.get(tenant, {}).values())

    async def remove(self, tenant: str, name: str) -> None:
        """See `VariableRecords`."""
        self._records.get(tenant, {}).pop(name, None)


class Variables:
    """The variables of all tenants. A change holds on every replica within a second."""

    def __init__(
        self, records: VariableRecords, sealer: Sealer, news: News, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._records = records
        self._sealer = sealer
        self._news = news
        self._clock = clock
        self._remembered = Remembered(_KIND, self._read, news)

    async def list(self, tenant: str) -> Sequence[Variable]:
        """The tenant's variables by name."""
        return sorted((await self._of(tenant)).values(), key=lambda variable: variable.name.casefold())

    async def find(self, tenant: str, variable_id: str) -> Variable:
        """The variable with this id; `NotFoundError` when the tenant has none."""
        found = next((one for one in (await self._of(tenant)).values() if one.id == variable_id), None)
        if found is None:
            raise NotFoundError(f"There is no variable with the id `{variable_id[:80]}`.")
        return found

    async def values(self, tenant: str, names: Container[str]) -> Mapping[str, str]:
        """What runs get: the values of those among `names` that the tenant has."""
        known = await self._of(tenant)
        return {name: self.value(tenant, variable) for name, variable in known.items() if name in names}

    def value(self, tenant: str, variable: Variable) -> str:
        """The value of a variable."""
        return self._sealer.open(variable.sealed, place=_place(tenant, variable.id))

    async def create(
        self,
        tenant: str,
        name: str,
        value: str,
        *,
        kind: VariableType = "Credential",
        default_fields: Sequence[str] = (),
    ) -> Variable:
        """A new variable; `ConflictError` when there is one of this name."""
        _check(name, value, kind)
        if len(await self._of(tenant)) >= _LIMIT:
            raise ConflictError(f"A tenant has at most {_LIMIT:,} variables.")
        now, new_id = self._clock(), str(uuid.uuid4())
        made = Variable(
            id=new_id,
            name=name,
            type=kind,
            sealed=self._sealer.seal(value, place=_place(tenant, new_id)),
            default_fields=tuple(default_fields),
            created_at=now,
            changed_at=now,
        )
        if not await self._records.create(tenant, name, asdict(made)):
            raise _taken(name)
        await self._news.tell(_KIND, tenant)
        return made

    async def change(self, tenant: str, variable_id: str, change: Mapping[str, Any]) -> Variable:
        """Change a variable's `name`, `value`, `type` or `default_fields`; what is None stays as it is."""
        old = await self.find(tenant, variable_id)
        said = {name: value for name, value in change.items() if value is not None}
        value = said.pop("value", None)
        said["default_fields"] = tuple(said.get("default_fields", old.default_fields))
        new = replace(old, **said, changed_at=self._clock())
        _check(new.name, "-" if value is None else value, new.type)
        if value is not None:
            new = replace(new, sealed=self._sealer.seal(value, place=_place(tenant, old.id)))
        elif old.type == "Credential" and new.type == "Generic":
            raise InvalidRequestError("`type`: a credential becomes readable only together with a new value.")
        await self._replace(tenant, old, new)
        return new

    async def remove(self, tenant: str, variable_id: str) -> Variable:
        """Forget a variable."""
        found = await self.find(tenant, variable_id)
        await self._records.remove(tenant, found.name)
        await self._news.tell(_KIND, tenant)
        return found

    async def forget(self, tenant: str) -> None:
        """Have no replica remember the tenant's variables, after their record was changed behind its back."""
        await self._news.tell(_KIND, tenant)

    async def rewrap(self, tenant: str) -> int:
        """Have the newest master key open all of the tenant's variables; how many had another one."""
        old = [Variable.of(record) for record in await self._records.list(tenant)]
        old = [variable for variable in old if not self._sealer.is_current(variable.sealed)]
        for variable in old:
            sealed = self._sealer.rewrapped(variable.sealed, place=_place(tenant, variable.id))
            await self._records.save(tenant, variable.name, asdict(replace(variable, sealed=sealed)))
        await self._news.tell(_KIND, tenant)
        return len(old)

    async def _replace(self, tenant: str, old: Variable, new: Variable) -> None:
        if new.name == old.name:
            await self._records.save(tenant, new.name, asdict(new))
        elif await self._records.create(tenant, new.name, asdict(new)):
            await self._records.remove(tenant, old.name)
        else:
            raise _taken(new.name)
        await self._news.tell(_KIND, tenant)

    async def _of(self, tenant: str) -> Mapping[str, Variable]:
        return await self._remembered.of(tenant) or {}

    async def _read(self, tenant: str) -> Mapping[str, Variable]:
        return {record["name"]: Variable.of(record) for record in await self._records.list(tenant)}


class VariableExistsError(ConflictError):
    """Two variables of a tenant cannot have the same name."""

    code = "variable_exists"
    status = 400  # as Langflow has it


def _taken(name: str) -> VariableExistsError:
    return VariableExistsError(f"Variable name already exists: `{name[:80]}`.")


def _check(name: str, value: str, kind: str) -> None:
    if not 0 < len(name) <= _NAME_LIMIT_CHARS:
        raise InvalidRequestError(f"`name` must have 1 to {_NAME_LIMIT_CHARS} characters.")
    if not 0 < len(value) <= _VALUE_LIMIT_CHARS:
        raise InvalidRequestError(f"`value` must have 1 to {_VALUE_LIMIT_CHARS:,} characters.")
    if kind not in get_args(VariableType):
        raise InvalidRequestError(f"`type` must be one of {', '.join(get_args(VariableType))}.")


def _place(tenant: str, variable_id: str) -> str:
    return f"tenants/{tenant}/variables/{variable_id}"
