"""Where a step can run: the pool whose Runners have what its nodes need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from flowray.component.claims import claimed
from flowray.component.imports import Imports
from flowray.component.spec import ComponentSpec, Needs
from flowray.component.terms import FROZEN_S, Said, Terms, said_of_node
from flowray.errors import PlanError
from flowray.flow.nearest import meant
from flowray.flow.shape import clipped
from flowray.flow.types import Node, NodeId
from flowray.plan.packages import stocked
from flowray.plan.types import Pool

DEFAULT = "default"


def needs_of_node(node: Node, specs: Mapping[str, ComponentSpec]) -> Needs:
    """Return what the node asks for itself, or else what its component's spec says."""
    own = claimed(node).needs
    spec = specs.get(node.code_digest or "")
    return spec.needs if own == Needs() and spec else own


def terms_of_node(node: Node, specs: Mapping[str, ComponentSpec], usual: Said) -> Terms:
    """Return what the node says, or else its component's author, or else the flow."""
    spec = specs.get(node.code_digest or "")
    metadata = node.raw["data"]["node"].get("metadata") if node.raw else None
    own = said_of_node(metadata, f"Node `{clipped(node.id)}`")
    frozen = {"cache_s": FROZEN_S} if node.frozen else {}
    return Terms(**{**usual, **(spec.terms if spec else {}), **own, **frozen})


def together(needs: Mapping[NodeId, Needs]) -> Needs:
    """Return the needs of nodes in one sandbox: the largest of each, since they take turns more than they overlap."""
    pools = {need.pool: node for node, need in needs.items() if need.pool}
    if len(pools) > 1:
        said = " and ".join(f"`{clipped(node)}` asks for pool `{clipped(pool)}`" for pool, node in pools.items())
        raise PlanError(f"{said}, but they run in one sandbox. Ask for one pool.")
    return Needs(
        cpu=max((need.cpu for need in needs.values()), default=0.0),
        memory_mib=max((need.memory_mib for need in needs.values()), default=0),
        gpu=max((need.gpu for need in needs.values()), default=0.0),
        pool=next(iter(pools), None),
        heavy=any(need.heavy for need in needs.values()),
        alone=any(need.alone for need in needs.values()),
    )


def pool_for(needs: Needs, pools: Sequence[Pool], imports: Mapping[NodeId, Imports]) -> str:
    """Return the name of the pool for these nodes; without known pools, the one asked for."""
    if not pools:
        return needs.pool or DEFAULT
    node = next(iter(imports))
    if needs.pool is not None:
        named = [pool for pool in pools if pool.name == needs.pool]
        if not named:
            names = [pool.name for pool in pools]
            hint = meant(needs.pool, names) or f" Known are {', '.join(names)}."
            raise PlanError(f"`{clipped(node)}` asks for pool `{clipped(needs.pool)}`, which is not there.{hint}")
        pools = named
    fitting = [pool for pool in pools if _fits(needs, pool)]
    if not fitting:
        raise PlanError(f"`{clipped(node)}` needs {said(needs)}; no Runner of {_names(pools)} has that.")
    return min(stocked(fitting, imports), key=lambda pool: (not pool.tenants, pool.name != DEFAULT)).name


def open_to(pools: Sequence[Pool], tenant: str) -> tuple[Pool, ...]:
    """Return the pools that a tenant's steps may run in; to others' it is as if they were not there."""
    return tuple(pool for pool in pools if not pool.tenants or tenant in pool.tenants)


def said(needs: Needs, *, nothing: str = "nothing special") -> str:
    """Return the needs in words."""
    parts = (
        (needs.cpu, f"{needs.cpu:g} CPU"),
        (needs.memory_mib, f"{needs.memory_mib} MiB"),
        (needs.gpu, f"{needs.gpu:g} GPU"),
    )
    return ", ".join(text for amount, text in parts if amount) or nothing


def _fits(needs: Needs, pool: Pool) -> bool:
    enough_cpu = pool.cpu is None or needs.cpu <= pool.cpu
    enough_memory = pool.memory_mib is None or needs.memory_mib <= pool.memory_mib
    return enough_cpu and enough_memory and needs.gpu <= pool.gpu


def _names(pools: Iterable[Pool]) -> str:
    return " or ".join(f"pool `{pool.name}`" for pool in pools)
