"""Which variables versions of flows take values from: what Langflow's clients ask before they hand a flow on."""

from __future__ import annotations

from collections.abc import Sequence

from flowray.component.references import taken_from
from flowray_serve.langflow_ids import version_uuid
from flowray_serve.library import UnknownVersionError, read_kept
from flowray_serve.ports import FlowStore


async def named_in(store: FlowStore, tenant: str, ids: Sequence[str]) -> frozenset[str]:
    """The names in the fields of the versions with these ids; `UnknownVersionError` when one is not there."""
    wanted, found = set(ids), frozenset[str]()
    for flow_id, number in await store.versions.numbers(tenant):
        if (version_id := version_uuid(flow_id, number)) in wanted:
            found |= await _named(store, tenant, flow_id, number)
            wanted.remove(version_id)
    if wanted:
        raise _unknown(min(wanted))
    return found


async def _named(store: FlowStore, tenant: str, flow_id: str, number: int) -> frozenset[str]:
    records = await store.versions.all(tenant, flow_id)
    record = next((one for one in records if one.number == number), None)
    kept = await store.read(tenant, flow_id, version=record.version) if record is not None else None
    if kept is None:
        raise _unknown(version_uuid(flow_id, number))
    return frozenset(name.strip() for name in taken_from(read_kept(kept.document)))


def _unknown(version_id: str) -> UnknownVersionError:
    return UnknownVersionError(f"Flow version {version_id} not found.")
