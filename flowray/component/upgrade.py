"""What another release of lfx would change in a flow, node by node, and which wires would not hold.

The rule for what is safe is lfx's own (`lfx.upgrade.checker`), on data alone, but for two things: whatever would break
a wire is not safe, and an output that says nothing of loops closes none. Tests hold both against each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from flowray.component.release import Raw, Release
from flowray.component.sockets import Sockets, holds, is_tool, outputs_in, own_fields, sockets_of
from flowray.flow.types import Edge, Flow, Json, Node, NodeId

# Safe: takes the new source as it is. Breaking: what the flow has saved does not fit it. Edited: somebody has written
# on the source. Unknown: the release has no such component, the node keeps what it came with.
Verdict = Literal["same", "safe", "breaking", "edited", "unknown"]
_OWN = frozenset({"CustomComponent"})
_PASSING = frozenset({"is_refresh", "tools_metadata"})


@dataclass(frozen=True, kw_only=True)
class NodeUpgrade:
    """What a release would do to one node.

    `adds` are fields that it is given, `drops` fields whose value nobody would read any more, `breaks` the ids of wires
    that would not hold, `reasons` what makes it no safe change.
    """

    node: NodeId
    component: str
    verdict: Verdict
    source: tuple[str, str] | None = None
    reasons: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()


def judged(flow: Flow, release: Release) -> tuple[NodeUpgrade, ...]:
    """What the release would do to each node that has source."""
    found = {node.id: _judged_alone(flow, node, release) for node in flow.nodes if node.code}
    while together := set(_broken_together(flow, found, release)):
        for edge in together:
            for end in {edge.source, edge.target}:
                if (one := found.get(end)) is not None and one.verdict == "safe":
                    why = "a wire would not hold when both of its ends change"
                    found[end] = _breaking(one, why, (edge.id,))
    return tuple(found.values())


def _judged_alone(flow: Flow, node: Node, release: Release) -> NodeUpgrade:
    entry = release.components.get(node.component)
    as_it_is = NodeUpgrade(node=node.id, component=node.component, verdict="same")
    if node.component in _OWN:
        return as_it_is
    if entry is None:
        return replace(as_it_is, verdict="unknown")
    source = source_of(entry)
    if source is None or source == node.code:
        return as_it_is
    mine, theirs = _body(node)["template"], entry["template"]
    breaks = tuple(edge.id for edge in _edges_of(flow, node) if not _holds_with(flow, edge, {node.id: entry}))
    reasons = tuple(reasons_against(entry, _body(node)))
    if breaks and not reasons:
        reasons = ("a wire would not hold",)
    verdict: Verdict = "edited" if _body(node).get("edited") else "breaking" if reasons else "safe"
    return replace(
        as_it_is,
        verdict=verdict,
        source=(node.code_digest or "", hashlib.sha256(source.encode()).hexdigest()),
        reasons=reasons,
        adds=tuple(sorted(new_fields(theirs, mine))),
        drops=tuple(sorted(new_fields(mine, theirs) - own_fields(_body(node), entry).keys())),
        breaks=breaks,
    )


def source_of(entry: Raw) -> str | None:
    """The source of a component of an index."""
    code = entry.get("template", {}).get("code")
    value = code.get("value") if isinstance(code, dict) else None
    return value if isinstance(value, str) else None


def new_fields(template: Mapping[str, Json], other: Mapping[str, Json]) -> set[str]:
    """The fields of one template that the other does not have; what editors keep there for themselves aside."""
    return _fields(template) - _fields(other)


def reasons_against(entry: Raw, body: Raw) -> Iterator[str]:
    """Why a node's saved state does not fit a component: lfx's rule, with its words spelt out."""
    theirs = entry.get("outputs") or []
    template, saved = entry.get("template") or {}, body.get("template") or {}
    if is_tool(body):
        if not any(isinstance(field, dict) and field.get("tool_mode") for field in template.values()):
            yield "it can no longer be a tool"
    elif theirs:
        yield from _against_outputs(theirs, outputs_in(body))
    for name in sorted(new_fields(template, saved)):
        field = template[name]
        if isinstance(field, dict) and field.get("required") and field.get("value") in (None, ""):
            yield f"the new field `{name}` is required and has no value"
    yield from _against_inputs(template, saved)


def _against_outputs(theirs: list[Raw], ours: list[Raw]) -> Iterator[str]:
    mine = {one.get("name"): one for one in ours}
    names = {one.get("name") for one in theirs}
    yield from (f"output `{name}` is gone" for name in mine if name not in names)
    for one in theirs:
        saved = mine.get(one.get("name"))
        if saved is None:
            yield f"output `{one.get('name')}` is new"
            continue
        if lost := sorted(set(saved.get("types") or []) - set(one.get("types") or [])):
            yield f"output `{one['name']}` no longer gives {', '.join(lost)}"
        if one.get("method") != saved.get("method"):
            yield f"output `{one['name']}` is made by another method"
        # Exports from before there were loops say nothing of them; lfx takes that for another answer than no.
        if bool(one.get("allows_loop")) != bool(saved.get("allows_loop")):
            yield f"output `{one['name']}` closes loops otherwise"


def _against_inputs(template: Mapping[str, Json], saved: Mapping[str, Json]) -> Iterator[str]:
    for name, field in template.items():
        mine = saved.get(name)
        if not isinstance(field, dict) or not isinstance(mine, dict) or not field.get("input_types"):
            continue
        if lost := [kind for kind in mine.get("input_types") or [] if kind not in field["input_types"]]:
            yield f"field `{name}` no longer takes {', '.join(lost)}"


def _broken_together(flow: Flow, found: Mapping[NodeId, NodeUpgrade], release: Release) -> Iterator[Edge]:
    """The wires between nodes that are safe alone and not both at once."""
    safe = {node: release.components[one.component] for node, one in found.items() if one.verdict == "safe"}
    for edge in flow.edges:
        if edge.source in safe and edge.target in safe and not _holds_with(flow, edge, safe):
            yield edge


def _breaking(one: NodeUpgrade, why: str, edges: Collection[str]) -> NodeUpgrade:
    return replace(one, verdict="breaking", reasons=(*one.reasons, why), breaks=(*one.breaks, *edges))


def _edges_of(flow: Flow, node: Node) -> Iterator[Edge]:
    return (edge for edge in flow.edges if node.id in (edge.source, edge.target))


def _holds_with(flow: Flow, edge: Edge, entries: Mapping[NodeId, Raw]) -> bool:
    """Whether a wire holds when these nodes are these components; one that does not hold now cannot break."""

    def end(node: NodeId, *, as_is: bool = False) -> Sockets | None:
        there = flow.by_id.get(node)
        if there is None:
            return None
        body = _body(there)
        return sockets_of(body) if as_is or node not in entries else sockets_of(entries[node], saved=body)

    now = holds(edge, end(edge.source, as_is=True), end(edge.target, as_is=True))
    return not now or holds(edge, end(edge.source), end(edge.target))


def _body(node: Node) -> Raw:
    body: Raw = node.raw["data"]["node"]
    return body


def _fields(template: Mapping[str, Json]) -> set[str]:
    return {name for name in template if not name.startswith("_") and name not in _PASSING}
