"""Who there is and who calls: tenants, their keys, and the news that keep replicas at one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from flowray.errors import ConflictError, StoreUnavailableError
from flowray.lasting import lasting
from flowray.quotas.guesses import MemoryGuesses, SteadyGuesses
from flowray.stores.audit_records import ObjectAuditRecords
from flowray.stores.key_records import ObjectKeyRecords
from flowray.stores.objects import ObjectStore
from flowray.stores.redis_guesses import RedisGuesses
from flowray.stores.redis_key_uses import RedisKeyUseRecords
from flowray.stores.redis_news import RedisNews
from flowray.stores.tenant_records import ObjectTenantRecords
from flowray.stores.variable_records import ObjectVariableRecords
from flowray.tenancy.audit import Audit
from flowray.tenancy.key_uses import KeyUses
from flowray.tenancy.keyring import Keyring
from flowray.tenancy.news import MemoryNews
from flowray.tenancy.sealing import Sealer
from flowray.tenancy.tenant import DEFAULT_TENANT
from flowray.tenancy.tenants import Tenants
from flowray.tenancy.variables import Variables
from flowray_serve.auth import Auditor, Authenticator, Gate, OpenRequests
from flowray_serve.key_service import KeyService
from flowray_serve.parts.issuers import issuers_of
from flowray_serve.settings import Settings

log = logging.getLogger(__name__)
_WRITE_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a gateway knows of who calls. `close` ends what keeps it up to date."""

    tenants: Tenants
    keys: KeyService
    variables: Variables
    authenticator: Authenticator
    gate: Gate
    audit: Audit
    uses: KeyUses
    tasks: Collection[asyncio.Task[None]]

    async def close(self) -> None:
        """Hear no more news, and write down what was noted."""
        for task in self.tasks:
            task.cancel()
        await asyncio.wait(self.tasks)
        with suppress(StoreUnavailableError):
            await self.uses.write()
        await self.audit.write()


def build_identity(redis: Any, objects: ObjectStore, sealer: Sealer, settings: Settings) -> Identity:
    """Build it, in the gateway's own process."""
    news = RedisNews(redis)
    tenants = Tenants(ObjectTenantRecords(objects), news)
    keyring = Keyring(ObjectKeyRecords(objects), news)
    uses = KeyUses(RedisKeyUseRecords(redis))
    audit = Audit(ObjectAuditRecords(objects), sealer)
    authenticator = Authenticator(
        keyring,
        tenants,
        issuers=issuers_of(settings),
        used=uses.note,
        proxies=settings.gateway.proxies,
        guesses=SteadyGuesses(RedisGuesses(redis), MemoryGuesses()),
    )
    return Identity(
        tenants=tenants,
        keys=KeyService(keyring, uses),
        variables=Variables(ObjectVariableRecords(objects), sealer, news),
        authenticator=authenticator,
        gate=Gate(
            identifies=authenticator,
            auditor=Auditor(audit, runs=settings.audit.runs),
            open_requests=OpenRequests(per_tenant=settings.gateway.per_tenant),
        ),
        audit=audit,
        uses=uses,
        tasks=(
            lasting(news.follow, name="follow the news"),
            lasting(partial(_write_down, uses), name="write down uses of keys"),
            lasting(audit.work, name="write down the audit log"),
        ),
    )


async def _write_down(uses: KeyUses) -> None:
    while True:
        await asyncio.sleep(_WRITE_EVERY_S)
        try:
            await uses.write()
        except StoreUnavailableError as error:
            log.warning("Uses of keys not written", extra={"action": "key_uses_lost", "reason": error.message})


async def first_tenant(objects: ObjectStore) -> None:
    """Make the tenant `default`, unless there is one."""
    try:
        await Tenants(ObjectTenantRecords(objects), MemoryNews()).create(DEFAULT_TENANT)
    except ConflictError:
        return


async def first_key(objects: ObjectStore) -> str:
    """Make a key of the tenant `default`, whose bearer is also the operator of this service."""
    keyring = Keyring(ObjectKeyRecords(objects), MemoryNews())
    return (await keyring.issue(DEFAULT_TENANT, name="first", roles=["operator"])).key
