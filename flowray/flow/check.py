"""What is wrong with a flow, seen from its wires and values alone; each finding names node and field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from flowray.errors import FlowFormatError, FlowInvalidError
from flowray.flow.cycles import endless
from flowray.flow.flaws import flaws
from flowray.flow.hosts import hosts_of
from flowray.flow.match import fit, fit_today
from flowray.flow.nearest import Hints
from flowray.flow.shape import clipped
from flowray.flow.types import Edge, Field, Flow, Node, NodeId

Severity = Literal["error", "warning"]
ENDPOINT_NAME = r"^[a-zA-Z0-9_-]+$"
ENDPOINT_NAME_LIMIT = 256
_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing about a flow: an error forbids running or publishing it, a warning names what a run may trip over.

    `code` is stable; `node` and `field` are None when the finding is about the whole flow or node.
    """

    severity: Severity
    code: str
    message: str
    node: NodeId | None = None
    field: str | None = None


def require_runnable(findings: Iterable[Finding]) -> None:
    """Raise `FlowInvalidError`, which says them in short, when some are errors."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise FlowInvalidError(f"The flow cannot run: {in_short(errors)}")


def in_short(findings: Sequence[Finding]) -> str:
    """What the first few say, and how many more there are: an error's message has room for no more."""
    shown = " ".join(finding.message for finding in findings[:_SHOWN])
    rest = len(findings) - _SHOWN
    return f"{shown} And {rest:,} more." if rest > 0 else shown


def check_wiring(flow: Flow, *, hints: Hints | None = None) -> Iterator[Finding]:
    """Yield the findings that need no knowledge of components; `hints` are those of all that is said of the flow."""
    hints = hints or Hints()
    if not flow.nodes:
        yield Finding(severity="error", code="no_nodes", message="The flow has no nodes to run.")
    yield from _duplicates(flow)
    for flaw in flaws(flow):
        yield _error("bad_node", flaw.message, flaw.node.id, flaw.field)
    for edge in flow.edges:
        yield from _wire(flow, edge, hints)
    if stuck := endless(flow):
        yield _cycle(stuck)
    yield from _loose_ends(flow)
    try:
        hosts_of(flow)
    except FlowFormatError as cause:
        yield Finding(severity="error", code="bad_egress", message=cause.message)


def check_attributes(flow: Flow) -> Iterator[Finding]:
    """Yield the findings about what is said of the flow as a whole: it runs here, but a service refuses to take it."""
    name = flow.endpoint_name or ""
    if name and not (re.fullmatch(ENDPOINT_NAME, name) and len(name) <= ENDPOINT_NAME_LIMIT):
        message = (
            f"The endpoint name `{clipped(name)}` cannot be published: it may have letters, digits, `_` and `-`, "
            f"{ENDPOINT_NAME_LIMIT} at most."
        )
        yield _error("bad_endpoint_name", message)


def _duplicates(flow: Flow) -> Iterator[Finding]:
    # A wire or a tweak that names a group must not mean another one, or a node.
    ids = [*(node.id for node in flow.nodes), *(group.id for group in flow.groups)]
    for node_id, count in Counter(ids).items():
        if count > 1:
            yield _error("duplicate_node", f"{count} nodes have the id `{clipped(node_id)}`.", node_id)


def _wire(flow: Flow, edge: Edge, hints: Hints) -> Iterator[Finding]:
    source, target = flow.by_id.get(edge.source), flow.by_id.get(edge.target)
    if source is None or target is None:
        yield _dangling(flow, edge)
        return
    given = _given(source, edge)
    if given is None:
        names = (output.name for output in source.outputs)
        message = f"A wire starts at output `{clipped(edge.output)}`, which `{clipped(source.id)}` does not have."
        yield _error("unknown_output", message + hints.meant(edge.output, names), source.id, edge.output)
        return
    yield from _feedback(edge, target, given) if edge.feedback else _plug(edge, target, given, hints)


def _dangling(flow: Flow, edge: Edge) -> Finding:
    missing, there, port = edge.source, edge.target, edge.field
    if missing in flow.by_id:
        missing, there, port = edge.target, edge.source, edge.output
    message = f"A wire at `{clipped(port)}` leads to `{clipped(missing)}`, which is not there."
    return _error("dangling_edge", message, there if there in flow.by_id else None, port)


def _given(source: Node, edge: Edge) -> tuple[str, ...] | None:
    """Return the types of the port; old exports name none on the port, but on the node, and say so in their wires."""
    output = source.by_output.get(edge.output)
    if output is None:
        old = not source.outputs and edge.raw["data"]["sourceHandle"].get("baseClasses")
        return source.base_classes if old and source.base_classes else None
    return output.types


def _plug(edge: Edge, target: Node, given: tuple[str, ...], hints: Hints) -> Iterator[Finding]:
    field = target.fields.get(edge.field)
    if field is None:
        message = f"A wire ends at field `{clipped(edge.field)}`, which `{clipped(target.id)}` does not have."
        yield _warning("unknown_field", message + hints.meant(edge.field, target.fields), target.id, edge.field)
        return
    # Langflow refuses a wire whose two plugs do not fit, and one whose port no longer gives what its plug says.
    taken = fit(given, edge.target_types) if edge.target_types else fit_today(given, target.taken_types)
    wanted = edge.target_types or (field.type,)
    if not taken:
        yield _clash(edge, given, wanted)
    elif not fit(edge.source_types, (*edge.target_types, field.type)):
        yield _misplugged(edge, wanted)


def _feedback(edge: Edge, target: Node, given: tuple[str, ...]) -> Iterator[Finding]:
    port = target.by_output.get(edge.field)
    if port is None or not port.allows_loop:
        message = (
            f"A wire leads back to output `{clipped(edge.field)}` of `{clipped(target.id)}`, which closes no loop."
        )
        yield _error("no_loop_output", message, target.id, edge.field)
    elif edge.target_types and not fit((*edge.source_types, *given), edge.target_types):
        yield _clash(edge, given, edge.target_types)


def _clash(edge: Edge, given: tuple[str, ...], wanted: tuple[str, ...]) -> Finding:
    message = (
        f"`{clipped(edge.source)}` gives {_either(given)} at `{clipped(edge.output)}`, "
        f"but `{clipped(edge.field)}` takes {_either(wanted)}."
    )
    return _error("type_clash", message, edge.target, edge.field)


def _misplugged(edge: Edge, wanted: tuple[str, ...]) -> Finding:
    """The ports fit, and the wire itself says something else: it was drawn when its source gave another type."""
    message = (
        f"The wire from `{clipped(edge.output)}` of `{clipped(edge.source)}` says that it brings "
        f"{_either(edge.source_types)}, but `{clipped(edge.field)}` takes {_either(wanted)}. Draw it again."
    )
    return _error("type_clash", message, edge.target, edge.field)


def _either(types: tuple[str, ...]) -> str:
    names = [clipped(name) for name in dict.fromkeys(types)]
    rest = ["another type"] if len(names) > _SHOWN else []
    return " or ".join(names[:_SHOWN] + rest) or "nothing"


def _cycle(stuck: tuple[NodeId, ...]) -> Finding:
    shown = [f"`{clipped(node)}`" for node in stuck[:_SHOWN]]
    more = [f"{len(stuck) - _SHOWN:,} more"] if len(stuck) > _SHOWN else []
    names = " -> ".join((*shown, *more, shown[0]))
    message = f"{names} wait for each other. Only a Loop component may close a circle."
    return _error("cycle", message, stuck[0])


def unfed(flow: Flow) -> frozenset[tuple[NodeId, str]]:
    """Return the fields, by node and name, that need a value and have none but what a wire brings."""
    return frozenset((node.id, one.name) for node in flow.nodes for one in node.fields.values() if _missing(node, one))


def _loose_ends(flow: Flow) -> Iterator[Finding]:
    wired = {(edge.target, edge.field) for edge in flow.edges}
    sources = {edge.source for edge in flow.edges}
    for node in flow.nodes:
        if node.tool_mode and node.id not in sources:
            yield _warning("unused_tool", f"`{clipped(node.id)}` is a tool that nobody uses; it will not run.", node.id)
            continue
        for field in node.fields.values():
            if (node.id, field.name) not in wired and _missing(node, field):
                yield _missing_finding(node, field)


def _missing(node: Node, field: Field) -> bool:
    if not field.required or not field.show or field.load_from_db:
        return False
    # The agent that calls a tool fills in its arguments.
    return field.value in (None, "", [], {}) and not (node.tool_mode and field.tool_mode)


def _missing_finding(node: Node, field: Field) -> Finding:
    if field.type == "other":
        message = f"`{clipped(node.id)}` needs a wire at `{clipped(field.name)}`."
        return _error("missing_required", message, node.id, field.name)
    message = f"`{clipped(node.id)}` needs a value at `{clipped(field.name)}`: set it in the flow or with a tweak."
    return _warning("missing_required", message, node.id, field.name)


def _error(code: str, message: str, node: NodeId | None = None, field: str | None = None) -> Finding:
    return Finding(severity="error", code=code, message=message, node=node, field=field)


def _warning(code: str, message: str, node: NodeId | None = None, field: str | None = None) -> Finding:
    return Finding(severity="warning", code=code, message=message, node=node, field=field)
