"""Change a flow's values for one run, as Langflow does: by node id, by display name, or by field name everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import orjson

from flowray.errors import FlowFormatError, FlowRayError, TweakRefusedError
from flowray.flow.document import Bounds, check_values, is_deeper
from flowray.flow.fitting import wanted
from flowray.flow.nearest import meant
from flowray.flow.nodes import field_of, with_template
from flowray.flow.shape import clipped, misfit
from flowray.flow.types import Flow, Json, Node, NodeId

Values = dict[str, Json]
_BOUNDS = Bounds()
# A field stands in a template, that in a node twice, and that among the nodes of the document's `data`.
_LEVELS_AROUND = 7

# A caller may set what a component works on, never what it executes: these inputs of these components are run as code,
# or name what code may do. The list is Langflow's.
_CODE_COMPONENTS = frozenset(
    {
        "CSVAgent",
        "CodeAct Agent (Smolagents)",
        "CodeActAgentSmolagents",
        "Cuga",
        "LambdaFilterComponent",
        "OpenDsStar Agent",
        "OpenDsStarAgent",
        "Python Code Structured",
        "Python Function",
        "Python Interpreter",
        "Python REPL",
        "PythonCodeStructuredTool",
        "PythonFunction",
        "PythonFunctionComponent",
        "PythonREPLComponent",
        "PythonREPLTool",
        "PythonREPLToolComponent",
        "Smart Transform",
    }
)
_CODE_FIELDS = frozenset(
    {"allow_dangerous_code", "filter_instruction", "function_code", "global_imports", "python_code", "tool_code"}
)
_PRIVILEGED_FIELDS = {
    # The author's connection goes with the author's secrets: a caller may not point either elsewhere.
    "SQLComponent": frozenset({"database_url", "query"}),
    # Which inputs of the pipeline a caller's text reaches; a prompt builder's template is one of them.
    "HaystackPipeline": frozenset({"answer_from", "inputs", "text_to"}),
}
_BING = "bing_search_url"
_WHOLE = frozenset({"mcp", "NestedDict", "dict"})


def tweak(flow: Flow, tweaks: Mapping[str, Json], *, stream: bool | None = None, lenient: bool = False) -> Flow:
    """Return the flow with the tweaks applied; nodes they do not touch are shared with the given flow.

    A key with an object as its value names a node or a group (id first, then display name); any other key names a field
    of every node that has it. `stream` is set on every node that can stream, unless the tweaks say it themselves.
    Refused (`TweakRefusedError`) are protected fields, what no number can be made of where one is wanted, and, unless
    `lenient`, nodes and fields that the flow does not have: Langflow ignores those, and the typo with them. Nothing is
    applied when anything is refused.
    """
    changes = _by_node(flow, _checked(tweaks), lenient=lenient)
    if stream is not None and "stream" not in tweaks:
        for node in flow.nodes:
            if "stream" in node.fields:
                changes.setdefault(node.id, {}).setdefault("stream", stream)
    if not changes:
        return flow
    _refuse_protected(flow, changes)
    nodes = (_tweaked(node, changes[node.id]) if node.id in changes else node for node in flow.nodes)
    tweaked = replace(flow, nodes=tuple(nodes))
    _refuse_misfits(tweaked, changes)
    return tweaked


def _checked(tweaks: Mapping[str, Json]) -> Mapping[str, Json]:
    """A tweak travels on as JSON, so it has to be JSON here."""
    try:
        check_values(dict(tweaks), _BOUNDS)
    except FlowRayError as cause:
        raise TweakRefusedError(f"The tweaks are no JSON document: {cause.message}") from cause
    return tweaks


def _by_node(flow: Flow, tweaks: Mapping[str, Json], *, lenient: bool) -> dict[NodeId, Values]:
    named = {node.display_name: node.id for node in flow.nodes}
    changes: dict[NodeId, Values] = {}
    everywhere = {key: value for key, value in tweaks.items() if not isinstance(value, dict)}
    for key, values in tweaks.items():
        if not isinstance(values, dict) or not values:
            continue
        for node_id, name, value in _aimed(flow, named, key, values, lenient=lenient):
            changes.setdefault(node_id, {})[name] = value
    for name, value in everywhere.items():
        holders = [node.id for node in flow.nodes if name in node.fields or (name == "code" and node.code is not None)]
        if not holders and name != "stream" and not lenient:
            raise TweakRefusedError(_no_field(flow, named, name))
        for node_id in holders:
            changes.setdefault(node_id, {})[name] = value
    return changes


def _aimed(
    flow: Flow, named: Mapping[str, NodeId], key: str, values: Values, *, lenient: bool
) -> Iterator[tuple[NodeId, str, Json]]:
    """Yield node, field and value of the tweaks for one node or group."""
    for name, value in values.items():
        end = _field_of_node(flow, named, key, name) or _field_of_group(flow, key, name)
        if end is not None:
            yield *end, value
        elif not lenient:
            raise TweakRefusedError(_unknown(flow, named, key, name))


def _field_of_node(flow: Flow, named: Mapping[str, NodeId], key: str, name: str) -> tuple[NodeId, str] | None:
    node = flow.by_id.get(NodeId(key)) or flow.by_id.get(named.get(key, NodeId("")))
    if node is None or not (name in node.fields or name == "code"):
        return None
    return node.id, name


def _field_of_group(flow: Flow, key: str, name: str) -> tuple[NodeId, str] | None:
    found = (group.fields.get(name) for group in flow.groups if key in (group.id, group.display_name))
    return next((end for end in found if end and end[0] in flow.by_id), None)


def _unknown(flow: Flow, named: Mapping[str, NodeId], key: str, name: str) -> str:
    node = flow.by_id.get(NodeId(key)) or flow.by_id.get(named.get(key, NodeId("")))
    if node is not None:
        return f"Node `{clipped(key)}` has no field `{clipped(name)}`.{meant(name, node.fields)}"
    boxes = [group for group in flow.groups if key in (group.id, group.display_name)]
    if boxes:
        return f"Group `{clipped(key)}` has no field `{clipped(name)}`.{meant(name, boxes[0].fields)}"
    known = [*flow.by_id, *named, *(group.id for group in flow.groups)]
    return f"The tweaks name `{clipped(key)}`, but the flow has no such node.{meant(key, known)}"


def _no_field(flow: Flow, named: Mapping[str, NodeId], name: str) -> str:
    if name in flow.by_id or name in named:
        return f"`{clipped(name)}` is a node: give an object of its fields."
    if any(name in (group.id, group.display_name) for group in flow.groups):
        return f"`{clipped(name)}` is a group: give an object of its fields."
    known = {field for node in flow.nodes for field in node.fields}
    return f"No node has the field `{clipped(name)}`.{meant(name, [*flow.by_id, *known])}"


def _refuse_protected(flow: Flow, changes: Mapping[NodeId, Values]) -> None:
    for node_id, values in changes.items():
        node = flow.by_id[node_id]
        for name, value in values.items():
            if _protected(node, name, value):
                raise TweakRefusedError(
                    f"Node `{clipped(node_id)}`: field `{clipped(name)}` keeps the value its author gave it; "
                    "take it out of the tweaks."
                )


def _protected(node: Node, name: str, value: Json) -> bool:
    kind = node.fields[name].type if name in node.fields else "code"
    return (
        "code" in (name, kind)
        or (node.component in _CODE_COMPONENTS and name in _CODE_FIELDS)
        or name in _PRIVILEGED_FIELDS.get(node.component, ())
        or (name == _BING and "Bing" in node.component)
        # A field that stands for another one must not be made to stand for a third.
        or (isinstance(value, dict) and kind not in _WHOLE and "proxy" in value)
    )


def _refuse_misfits(flow: Flow, changes: Mapping[NodeId, Values]) -> None:
    for node_id, values in changes.items():
        node = flow.by_id[node_id]
        template = node.raw["data"]["node"]["template"]
        said = (name for name, value in values.items() if not isinstance(value, dict) or "value" in value)
        for name in said:
            better = wanted(node.fields[name], template[name]) if name in node.fields else None
            if better and not any((edge.target, edge.field) == (node_id, name) for edge in flow.edges):
                place = f"The tweaks of node `{clipped(node_id)}`"
                raise TweakRefusedError(misfit(better, node.fields[name].value, place, name).message)


def _tweaked(node: Node, values: Values) -> Node:
    template = dict(node.raw["data"]["node"]["template"])
    fields = dict(node.fields)
    for name, value in values.items():
        template[name] = _set(template[name], value)
        if is_deeper(template[name], _BOUNDS.depth - _LEVELS_AROUND):
            raise TweakRefusedError(_too_deep(node, name))
        try:
            fields[name] = field_of(name, template[name], f"The tweaks of node `{clipped(node.id)}`")
        except FlowFormatError as cause:
            raise TweakRefusedError(cause.message) from cause
    return replace(node, fields=fields, raw=with_template(node.raw, template))


def _too_deep(node: Node, name: str) -> str:
    return (
        f"Node `{clipped(node.id)}`: the value for field `{clipped(name)}` is nested too deeply. Send one of fewer "
        f"levels: with its tweaks the flow may have {_BOUNDS.depth} in all."
    )


def _set(field: Values, value: Json) -> Values:
    """Return a template's field with its new value; what an object means depends on the field's type."""
    kind = field.get("type")
    if kind == "NestedDict":
        return {**field, "value": _parsed(value)}
    if kind == "mcp":
        return {**field, "value": value}
    if kind == "dict" and isinstance(value, dict):
        return {**field, "value": value["value"] if value.keys() == {"value"} else value}
    fresh = {} if "load_from_db" not in field else {"load_from_db": False}
    if not isinstance(value, dict):
        return {**field, **fresh, "file_path" if kind == "file" else "value": value}
    if kind == "file" and "value" in value:
        value = {"file_path": value["value"], **value}
    return {**field, **fresh, **value}


def _parsed(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
