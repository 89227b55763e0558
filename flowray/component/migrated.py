"""A flow's document with components of another release: what was judged safe, and what somebody asked for besides."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowray.component.release import Raw, Release
from flowray.component.sockets import is_tool, own_fields
from flowray.component.upgrade import NodeUpgrade, new_fields, source_of
from flowray.errors import ConflictError, InvalidRequestError
from flowray.flow.handles import edge_of, with_handles
from flowray.flow.langflow import read
from flowray.flow.nearest import meant
from flowray.flow.nodes import body_of, is_note
from flowray.flow.types import Edge, Flow, Json, NodeId

# What an index says of a component and its node repeats for editors.
_REPEATED = ("code_hash", "module", "dependencies", "component_class_name")


class LostEdgesError(ConflictError):
    """A change would take wires away, and nobody said that it may."""

    code = "edges_would_be_lost"


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """The document, the nodes that changed, and the wires that were taken away because somebody said so."""

    document: Raw
    changed: tuple[NodeId, ...]
    lost: tuple[Edge, ...] = ()


def migrated(
    document: Mapping[str, Json],
    upgrades: Sequence[NodeUpgrade],
    release: Release,
    *,
    also: Collection[str] = (),
    drop_edges: bool = False,
) -> Migrated:
    """Return the document with all that is safe; `also` names nodes that are changed although it is not.

    A wire that would not hold then is refused (`LostEdgesError`), unless `drop_edges`: then it is taken out, and told.
    """
    _refuse_unknown(upgrades, also)
    chosen = {one.node: one for one in upgrades if one.verdict == "safe" or (one.source and one.node in also)}
    flow = read(document)
    lost = _lost(flow, chosen)
    if lost and not drop_edges:
        said = "; ".join(f"{edge.source}.{edge.output} > {edge.target}.{edge.field}" for edge in lost)
        raise LostEdgesError(f"These wires would be lost: {said}. Wire them otherwise first, or allow it: --drop-edges")
    changed = copy.deepcopy(dict(document))
    for node in _nodes(changed):
        if (one := chosen.get(NodeId(str(node.get("id"))))) is not None:
            entry = release.components[one.component]
            _renew(node["data"]["node"], entry, release.version, whole=one.verdict != "safe")
    if lost:
        _take_out(changed, {edge.ends for edge in lost})
    return Migrated(document=changed, changed=tuple(chosen), lost=lost)


def _refuse_unknown(upgrades: Sequence[NodeUpgrade], also: Collection[str]) -> None:
    can = [one.node for one in upgrades if one.source]
    for node in also:
        if node not in can:
            raise InvalidRequestError(f"`{node[:80]}` is no node that this release would change.{meant(node, can)}")


def _lost(flow: Flow, chosen: Mapping[NodeId, NodeUpgrade]) -> tuple[Edge, ...]:
    broken = {edge for one in chosen.values() for edge in one.breaks}
    return tuple(edge for edge in flow.edges if edge.id in broken)


def _nodes(document: Raw) -> Iterator[Raw]:
    """All nodes, those inside groups too, and no notes."""
    waiting = [document.get("data") if "data" in document else document]
    while waiting:
        canvas = waiting.pop()
        nodes = canvas.get("nodes") if isinstance(canvas, dict) else None
        for node in nodes if isinstance(nodes, list) else ():
            inner = body_of(node).get("flow")
            if isinstance(inner, dict):
                waiting.append(inner.get("data"))
            elif not is_note(node):
                yield node


def _renew(body: Raw, entry: Raw, version: str, *, whole: bool) -> None:
    """Give a node the source of a component; `whole` also its outputs and fields, with the values that it has."""
    template, theirs = body["template"], entry["template"]
    source = source_of(entry) or ""
    added = {name: copy.deepcopy(theirs[name]) for name in sorted(new_fields(theirs, template))}
    if whole:
        kept = {name: _with_value(theirs[name], field) for name, field in template.items() if name in theirs}
        own = {name: field for name, field in template.items() if name.startswith("_") and name not in kept}
        template = {**own, **kept, **own_fields(body, entry)}
        if not is_tool(body):
            body["outputs"] = copy.deepcopy(entry.get("outputs") or [])
    body["template"] = {**template, **added}
    body["template"]["code"] = {**body["template"]["code"], "value": source}
    said = entry.get("metadata") or {}
    fresh = {name: said[name] for name in _REPEATED if name in said}
    metadata = {**(body.get("metadata") or {}), **fresh}
    if "code_hash" in metadata:
        metadata["code_hash"] = hashlib.sha256(source.encode()).hexdigest()[:12]
    body["metadata"], body["edited"], body["lf_version"] = metadata, False, version


def _with_value(theirs: Json, mine: Json) -> Json:
    if not isinstance(theirs, dict) or not isinstance(mine, dict):
        return copy.deepcopy(theirs)
    kept = {name: mine[name] for name in ("value", "load_from_db", "file_path", "options", "show") if name in mine}
    return {**copy.deepcopy(theirs), **kept}


def _take_out(document: Raw, ends: Collection[tuple[str, str, str, str]]) -> None:
    canvas = document.get("data", document)
    canvas["edges"] = [
        raw for raw in canvas["edges"] if edge_of(with_handles(raw, "An edge"), "An edge").ends not in ends
    ]
    left = [edge for edge in read(document).edges if edge.ends in ends]
    if left:
        raise ConflictError(f"A wire into or within a group would be lost, at `{left[0].target}`. Ungroup it first.")
