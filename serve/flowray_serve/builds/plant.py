"""What the parts of one service are built from, wherever they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flowray.component.spec import ComponentSpec
from flowray.component.stock import Stock
from flowray.errors import PlanError
from flowray.flow.types import Flow
from flowray.plan.place import open_to
from flowray.plan.planner import plan
from flowray.plan.types import Plan, Pool
from flowray.stores.objects import ObjectStore, open_objects
from flowray.tenancy.sealing import MasterKeys
from flowray.tenancy.tenant import DEFAULT_TENANT
from flowray_serve.parts.egress import traffic_of
from flowray_serve.preloading import PoolImage
from flowray_serve.run_service import TenantDefaults
from flowray_serve.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Plant:
    """What the parts of one service are built from, wherever they are; it travels to their processes.

    `stocks` are what the pools' images have, `pool_images` which these are, once there are any.
    """

    settings: Settings
    redis_url: str
    objects_url: str
    secret: bytes = field(repr=False)
    master_keys: MasterKeys = field(repr=False)
    run: Path
    logs: Path
    stocks: Mapping[str, Stock] = field(default_factory=dict)
    pool_images: tuple[PoolImage, ...] = ()


def objects_of(plant: Plant) -> ObjectStore:
    """Return the record's store."""
    return open_objects(plant.objects_url, options=plant.settings.objects.options)


def defaults_of(settings: Settings, tenant: str) -> TenantDefaults:
    """Return what every run of a tenant starts from."""
    egress = tuple(dict.fromkeys(host for pool in settings.pools.values() for host in pool.egress))
    traffic = traffic_of(settings.egress)
    if tenant != DEFAULT_TENANT:
        return TenantDefaults(egress=egress, traffic=traffic)
    variables = {name: secret.get_secret_value() for name, secret in settings.variables.items()}
    return TenantDefaults(variables=variables, egress=egress, traffic=traffic)


def planned(
    pools: Sequence[Pool],
    flow: Flow,
    specs: Mapping[str, ComponentSpec],
    tenant: str,
    *,
    images: Collection[str] = (),
) -> Plan:
    """Return the flow's plan over the pools that this tenant may use: those with one of these images, if they can."""
    theirs = open_to(pools, tenant)
    pinned = [pool for pool in theirs if pool.stock is not None and pool.stock.digest in images]
    if pinned and len(pinned) < len(theirs):
        with suppress(PlanError):
            return plan(flow, specs=specs, pools=pinned)
    return plan(flow, specs=specs, pools=theirs)


def images_of(pools: Sequence[Pool], made: Plan) -> tuple[str, ...]:
    """Return the digests of the images that a plan's steps run in."""
    used = {step.pool for step in made.steps}
    digests = {pool.stock.digest for pool in pools if pool.name in used and pool.stock is not None}
    return tuple(sorted(digests - {""}))
