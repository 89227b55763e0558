"""A tenant's variables: settings and secrets that its flows refer to by name."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, get_args

from flowray.errors import ConflictError, InvalidRequestError, NotFoundError, OvertakenError
from flowray.flow.types import JsonObject
from flowray.tenancy.news import News, Remembered
from flowray.tenancy.sealing import Sealer
from flowray.tenancy.variable_record import Variable, VariableRecords, VariableType

_KIND = "variables"
_LIMIT = 1_000
_NAME_LIMIT_CHARS, _VALUE_LIMIT_CHARS = 256, 64 * 1024


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
        """The variable with this id as it is kept now; `NotFoundError` when the tenant has none."""
        found = await self._all_of(tenant, variable_id)
        if not found:
            raise _unknown(variable_id)
        return next((one for one in found if not one.renamed), found[0])

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
        """Change a variable's `name`, `value`, `type` or `default_fields`; what is None stays as it is.

        `OvertakenError` when it gets another name and is changed by somebody else meanwhile.
        """
        said = {name: value for name, value in change.items() if value is not None}
        old = await self.find(tenant, variable_id)
        try:
            if said.get("name", old.name) != old.name:
                return await self._rename(tenant, old, self._changed(tenant, old, said))
            return await self._change(tenant, old, lambda kept: self._changed(tenant, kept, said))
        finally:
            await self._news.tell(_KIND, tenant)

    async def remove(self, tenant: str, variable_id: str) -> Variable:
        """Forget a variable."""
        found = await self.find(tenant, variable_id)
        await self._records.remove(tenant, found.name)
        for renamed in await self._all_of(tenant, variable_id):  # by somebody who was faster
            await self._records.remove(tenant, renamed.name)
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
            with suppress(NotFoundError):
                await self._change(tenant, variable, lambda kept: self._rewrapped(tenant, kept))
        await self._news.tell(_KIND, tenant)
        return len(old)

    def _changed(self, tenant: str, old: Variable, change: Mapping[str, Any]) -> Variable:
        if old.renamed:
            raise _overtaken(old.name)
        said = dict(change)
        value = said.pop("value", None)
        said["default_fields"] = tuple(said.get("default_fields", old.default_fields))
        new = replace(old, **said, changed_at=self._clock())
        _check(new.name, "-" if value is None else value, new.type)
        if value is not None:
            return replace(new, sealed=self._sealer.seal(value, place=_place(tenant, old.id)))
        if old.type == "Credential" and new.type == "Generic":
            raise InvalidRequestError("`type`: a credential becomes readable only together with a new value.")
        return new

    def _rewrapped(self, tenant: str, old: Variable) -> Variable:
        if self._sealer.is_current(old.sealed):
            return old
        return replace(old, sealed=self._sealer.rewrapped(old.sealed, place=_place(tenant, old.id)))

    async def _rename(self, tenant: str, old: Variable, new: Variable) -> Variable:
        """Keep `new` in place of `old`, which is marked before it goes: nobody changes it any more."""
        if not await self._records.create(tenant, new.name, asdict(new)):
            raise _taken(new.name)
        try:
            await self._change(tenant, old, lambda kept: _marked(kept, old, new.name))
        except (ConflictError, NotFoundError):
            await self._records.remove(tenant, new.name)
            raise
        await self._records.remove(tenant, old.name)
        return new

    async def _change(self, tenant: str, variable: Variable, make: Callable[[Variable], Variable]) -> Variable:
        """The variable as `make` makes it; `NotFoundError` when it has been removed by now."""

        def made(record: JsonObject) -> JsonObject:
            kept = Variable.of(record)
            if kept.id != variable.id:
                raise _unknown(variable.id)
            return asdict(make(kept))

        record = await self._records.change(tenant, variable.name, made)
        if record is None:
            raise _unknown(variable.id)
        return Variable.of(record)

    async def _all_of(self, tenant: str, variable_id: str) -> Sequence[Variable]:
        """What is kept with this id: more than one while it gets another name."""
        return [one for one in (await self._read(tenant)).values() if one.id == variable_id]

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


def _unknown(variable_id: str) -> NotFoundError:
    return NotFoundError(f"There is no variable with the id `{variable_id[:80]}`.")


def _overtaken(name: str) -> OvertakenError:
    return OvertakenError(f"Somebody else changed the variable `{name[:80]}` at the same time. Try again.")


def _marked(kept: Variable, seen: Variable, name: str) -> Variable:
    marked = replace(seen, renamed=name)
    if kept not in (seen, marked):
        raise _overtaken(seen.name)
    return marked


def _check(name: str, value: str, kind: str) -> None:
    if not 0 < len(name) <= _NAME_LIMIT_CHARS:
        raise InvalidRequestError(f"`name` must have 1 to {_NAME_LIMIT_CHARS} characters.")
    if not 0 < len(value) <= _VALUE_LIMIT_CHARS:
        raise InvalidRequestError(f"`value` must have 1 to {_VALUE_LIMIT_CHARS:,} characters.")
    if kind not in get_args(VariableType):
        raise InvalidRequestError(f"`type` must be one of {', '.join(get_args(VariableType))}.")


def _place(tenant: str, variable_id: str) -> str:
    return f"tenants/{tenant}/variables/{variable_id}"
