"""What a node that waits for a decision wants to be given back: lfx's agents keep it in a checkpoint store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from lfx.graph.checkpoint.store import InMemoryCheckpointStore, set_default_checkpoint_store

from flowray_sandbox.report import running_node

_kept: dict[str, dict[str, str]] = {}


class _Store(InMemoryCheckpointStore):
    """Keeps blobs by node: two agents of a run would overwrite each other's, since lfx keeps them by run."""

    async def save_blob(self, job_id: str, kind: str, blob: str) -> None:
        del job_id
        _kept.setdefault(running_node.get(), {})[kind] = blob

    async def load_blob(self, job_id: str, kind: str) -> str | None:
        del job_id
        return _kept.get(running_node.get(), {}).get(kind)


def install(states: Mapping[str, bytes]) -> None:
    """Give paused nodes what they kept; lfx looks for a store only when an agent has tools that need approval."""
    _kept.update({node: orjson.loads(state) for node, state in states.items()})
    store: Any = _Store()
    set_default_checkpoint_store(store)


def state_of(node: str) -> bytes | None:
    """What the node keeps."""
    return orjson.dumps(_kept[node]) if node in _kept else None
