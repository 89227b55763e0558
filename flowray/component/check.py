"""All findings about a flow: those of its wires and values, and those of the components behind its nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flowray.component.adapters import adapter_of, adapters
from flowray.component.imports import sources_read
from flowray.component.needs import needs_of
from flowray.component.spec import ComponentSpec
from flowray.component.syntax import BrokenSourceError, parsed
from flowray.component.terms import said_of_flow, said_of_node
from flowray.errors import FlowFormatError
from flowray.flow.check import Finding, check_wiring
from flowray.flow.nearest import Hints
from flowray.flow.shape import clipped
from flowray.flow.types import Flow, Node


def check(flow: Flow, catalog: Mapping[str, ComponentSpec] | None = None) -> tuple[Finding, ...]:
    """Return what is wrong with a flow, errors first.

    `catalog` holds the known components by the digest of their source; without one, no component is called unknown.
    """
    hints = Hints()
    findings = [*check_wiring(flow, hints=hints), *_components(flow, catalog or {}), *_adapters(flow, hints)]
    findings += (*_needs(flow), *_terms(flow))
    if catalog is not None:
        findings += _unknown(flow, {spec.name for spec in catalog.values()}, hints)
    return tuple(sorted(findings, key=lambda finding: finding.severity != "error"))


def _unknown(flow: Flow, names: set[str], hints: Hints) -> Iterator[Finding]:
    known = {*names, *adapters()}
    for node in flow.nodes:
        if node.code is None and node.component not in names and adapter_of(node) is None:
            said = f"`{clipped(node.id)}` is a `{clipped(node.component)}`: no such component, and it brings no source."
            yield _error("unknown_component", said + hints.meant(node.component, known), node)


def _components(flow: Flow, catalog: Mapping[str, ComponentSpec]) -> Iterator[Finding]:
    seen: dict[str, str | None] = {}
    read = sources_read(node for node in flow.nodes if node.code_digest not in catalog)
    for node in flow.nodes:
        if node.code is None or node.code_digest is None:
            yield from _no_source(node)
            continue
        digest = node.code_digest
        if digest in catalog:
            seen[digest] = catalog[digest].problem
        elif digest not in seen:
            seen[digest] = _parse_problem(node.code) if digest in read else None
        if problem := seen[digest]:
            yield _error("broken_component", f"The source of `{clipped(node.id)}` is broken: {problem}", node, "code")


def _no_source(node: Node) -> Iterator[Finding]:
    """A field for the source that holds none; whoever leaves it out means a known component."""
    if "code" in node.raw["data"]["node"]["template"] and adapter_of(node) is None:
        said = f"The source of `{clipped(node.id)}` is null: give it, or leave the field `code` out."
        yield _error("broken_component", said, node, "code")


def _parse_problem(source: str) -> str | None:
    try:
        parsed(source)
    except BrokenSourceError as cause:
        return str(cause)
    return None


def _adapters(flow: Flow, hints: Hints) -> Iterator[Finding]:
    for node in flow.nodes:
        adapter = adapter_of(node)
        for problem in adapter.problems(node) if adapter is not None else ():
            said = f"`{clipped(node.id)}`: {problem.message}{hints.meant(problem.missing, problem.known)}"
            yield _error("bad_definition", said, node, problem.field)


def _needs(flow: Flow) -> Iterator[Finding]:
    for node in flow.nodes:
        try:
            metadata, owner = node.raw["data"]["node"].get("metadata"), f"Node `{clipped(node.id)}`"
            needs_of(metadata, owner)
            said_of_node(metadata, owner)
        except FlowFormatError as cause:
            yield _error("bad_needs", cause.message, node, "metadata")


def _terms(flow: Flow) -> Iterator[Finding]:
    try:
        said_of_flow(flow)
    except FlowFormatError as cause:
        yield Finding(severity="error", code="bad_terms", message=cause.message)


def _error(code: str, message: str, node: Node, field: str | None = None) -> Finding:
    return Finding(severity="error", code=code, message=message, node=node.id, field=field)
