"""Which variables versions of flows take values from: what Langflow's clients ask before they hand a flow on."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from flowray.component.references import taken_from
from flowray.stores.versions import UnknownVersionError
from flowray_serve.langflow_ids import version_uuid
from flowray_serve.library import read_kept
from flowray_serve.ports import FlowStore


async def named_in(store: FlowStore, tenant: str, ids: Sequence[str]) -> frozenset[str]:
    """The names in the fields of the versions with these ids; `UnknownVersionError` when one is not there."""
    # An id is made of a flow's id and a number, and does not say which; a hundred thousand take a moment to go through.
    meant = await asyncio.to_thread(_meant, frozenset(ids), await store.versions.numbers(tenant))
    if unknown := sorted(set(ids) - meant.keys()):
        raise _unknown(unknown[0])
    found = [await _named(store, tenant, flow_id, number) for flow_id, number in meant.values()]
    return frozenset().union(*found)


def _meant(ids: Collection[str], numbers: Sequence[tuple[str, int]]) -> dict[str, tuple[str, int]]:
    by_id = ((version_uuid(flow_id, number), (flow_id, number)) for flow_id, number in numbers)
    return {version_id: one for version_id, one in by_id if version_id in ids}


async def _named(store: FlowStore, tenant: str, flow_id: str, number: int) -> frozenset[str]:
    records = await store.versions.all(tenant, flow_id)
    record = next((one for one in records if one.number == number), None)
    kept = await store.read(tenant, flow_id, version=record.version) if record is not None else None
    if kept is None:
        raise _unknown(version_uuid(flow_id, number))
    return frozenset(name.strip() for name in taken_from(read_kept(kept.document)))


def _unknown(version_id: str) -> UnknownVersionError:
    return UnknownVersionError(f"Flow version {version_id} not found.")
