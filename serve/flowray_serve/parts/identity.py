"""Who there is and who calls: tenants, their keys, and the news that keep replicas at one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from flowray.errors import ConflictError
from flowray.stores.key_records import ObjectKeyRecords
from flowray.stores.objects import ObjectStore
from flowray.stores.redis_news import RedisNews
from flowray.stores.tenant_records import ObjectTenantRecords
from flowray.tenancy.keyring import Keyring
from flowray.tenancy.news import MemoryNews
from flowray.tenancy.tenant import DEFAULT_TENANT
from flowray.tenancy.tenants import Tenants
from flowray_serve.auth import Authenticator


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a gateway knows of who calls. `close` ends what keeps it up to date."""

    tenants: Tenants
    authenticator: Authenticator
    following: asyncio.Task[None]

    async def close(self) -> None:
        """Hear no more news."""
        self.following.cancel()
        await asyncio.wait([self.following])


def build_identity(redis: Any, objects: ObjectStore) -> Identity:
    """Build it, in the gateway's own process."""
    news = RedisNews(redis)
    tenants = Tenants(ObjectTenantRecords(objects), news)
    keyring = Keyring(ObjectKeyRecords(objects), news)
    return Identity(
        tenants=tenants,
        authenticator=Authenticator(keyring, tenants),
        following=asyncio.create_task(news.follow(), name="follow the news"),
    )


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
