"""A plan for people: as a table, as a diagram, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from flowray.flow.types import Edge, Flow, Json, NodeId
from flowray.plan.place import said
from flowray.plan.types import Plan, Step

_COLUMNS = ("STEP", "NODES", "POOL", "NEEDS", "AFTER")


def as_table(plan: Plan, flow: Flow | None = None) -> str:
    """Return the plan as text: a row per step, then why nodes are together and why steps are apart.

    What is left out is told where the `flow` is there to see it.
    """
    rows = [_COLUMNS, *(_row(step) for step in plan.steps)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    together = [f"  {step.id}: {reason}" for step in plan.steps for reason in step.joined_because]
    apart = dict.fromkeys(f"  {cut.source} | {cut.target}: {cut.reason}" for cut in plan.cuts)
    left_out = [f"  {node}: a tool that nobody uses" for node in _left_out(plan, flow)] if flow else []
    for title, said_lines in (("Together", together), ("Apart", list(apart)), ("Left out", left_out)):
        if said_lines:
            lines += ["", title, *said_lines]
    return "\n".join(lines)


def as_mermaid(plan: Plan, flow: Flow) -> str:
    """Return the plan as a Mermaid flowchart: a box per step, its nodes inside."""
    names = {node: f"n{index}" for index, node in enumerate(plan.step_of)}
    lines = ["flowchart LR"]
    for step in plan.steps:
        title = f"{step.id} ({step.pool})"
        lines.append(f"  subgraph {step.id}[{_quoted(title)}]")
        lines += [f"    {names[node]}[{_quoted(_title(flow, node))}]" for node in step.nodes]
        lines.append("  end")
    lines += [_arrow(names, edge.source, edge.target, feedback=edge.feedback) for edge in plan.edges]
    return "\n".join(lines)


def as_json(plan: Plan) -> dict[str, Json]:
    """Return the plan as a JSON object."""
    return {
        "flow_digest": plan.flow_digest,
        "fusion": plan.fusion,
        "steps": [asdict(step) for step in plan.steps],
        "cuts": [asdict(cut) for cut in plan.cuts],
        "outputs": list(plan.outputs),
        "edges": [_edge(edge) for edge in plan.edges],
    }


def _edge(edge: Edge) -> dict[str, Json]:
    names = ("id", "source", "output", "target", "field", "feedback")
    return {name: getattr(edge, name) for name in names}


def _row(step: Step) -> Sequence[str]:
    return (step.id, ", ".join(step.nodes), step.pool, said(step.resources, nothing="-"), ", ".join(step.needs) or "-")


def _left_out(plan: Plan, flow: Flow) -> list[NodeId]:
    return [node.id for node in flow.nodes if node.id not in plan.step_of]


def _title(flow: Flow, node: NodeId) -> str:
    return f"{flow.by_id[node].display_name} ({node})" if flow.by_id[node].display_name != node else node


def _arrow(names: Mapping[NodeId, str], source: NodeId, target: NodeId, *, feedback: bool) -> str:
    return f"  {names[source]} {'-.->' if feedback else '-->'} {names[target]}"


def _quoted(text: str) -> str:
    """Mermaid ends a label at a quote and reads `#` as the start of an entity; a line break ends the statement."""
    plain = " ".join(text.split())
    for char, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        plain = plain.replace(char, entity)
    return f'"{plain}"'
