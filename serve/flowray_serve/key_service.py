"""Keys as routes give them out: nobody gives more than they have."""

from __future__ import annotations

from typing import Any

from flowray.errors import ForbiddenError
from flowray.tenancy.key_uses import KeyUses
from flowray.tenancy.keyring import Keyring
from flowray.tenancy.permissions import exceeds
from flowray.tenancy.principal import Principal, Role
from flowray_serve.answers.tenancy import KeyRead
from flowray_serve.bodies.tenancy import KeyBody, KeyChangeBody, RotationBody
from flowray_serve.key_answer import key_read


class KeyService:
    """Makes, lists, replaces and revokes a tenant's keys on behalf of a caller."""

    def __init__(self, keyring: Keyring, uses: KeyUses) -> None:
        self._keyring = keyring
        self._uses = uses

    async def list(self, tenant: str) -> list[KeyRead]:
        """The tenant's keys, the oldest first."""
        uses = await self._uses.of(tenant)
        return [key_read(record, uses.get(record.id)) for record in await self._keyring.list(tenant)]

    async def create(self, tenant: str, body: KeyBody, caller: Principal) -> KeyRead:
        """A new key; the answer is the only time it is said."""
        roles = tuple(body.roles) if body.roles is not None else _own(caller)
        if exceeds(roles, caller.roles):
            raise ForbiddenError("`roles`: nobody gives a key that may do more than they may themselves.")
        issued = await self._keyring.issue(
            tenant, name=body.name or "", roles=roles, expires_at=body.ends_at, by=_said(caller)
        )
        return key_read(issued.record, key=issued.key)

    async def rotate(self, tenant: str, key_id: str, body: RotationBody, caller: Principal) -> KeyRead:
        """A new key in place of an old one."""
        await self._require_power_over(tenant, key_id, caller)
        issued = await self._keyring.rotate(tenant, key_id, grace_s=body.grace_s, by=_said(caller))
        return key_read(issued.record, key=issued.key)

    async def settle(self, tenant: str, key_id: str, body: KeyChangeBody, caller: Principal) -> KeyRead:
        """The same key, from now on with these roles and this end; what the body does not name stays."""
        await self._require_power_over(tenant, key_id, caller)
        change: dict[str, Any] = {} if body.roles is None else {"roles": tuple(body.roles)}
        if exceeds(change.get("roles", ()), caller.roles):
            raise ForbiddenError("`roles`: nobody gives a key that may do more than they may themselves.")
        if "expires_at" in body.model_fields_set:
            change["expires_at"] = body.ends_at
        return key_read(await self._keyring.settle(tenant, key_id, change))

    async def revoke(self, tenant: str, key_id: str, caller: Principal) -> None:
        """Have a key work no longer."""
        await self._require_power_over(tenant, key_id, caller)
        await self._keyring.revoke(tenant, key_id)

    async def revoke_all(self, tenant: str) -> int:
        """Have none of a tenant's keys work any longer; how many there were."""
        return await self._keyring.revoke_all(tenant)

    async def _require_power_over(self, tenant: str, key_id: str, caller: Principal) -> None:
        if exceeds((await self._keyring.find(tenant, key_id)).roles, caller.roles):
            raise ForbiddenError("This key may do more than you may, so it is not yours to change.")


def _own(caller: Principal) -> tuple[Role, ...]:
    return tuple(sorted("admin" if role == "operator" else role for role in caller.roles))


def _said(caller: Principal) -> str:
    return f"{caller.tenant}/{caller.key or caller.key_id}"
