"""Take groups apart: their inner nodes move up, and the wires that ended at the group end at what it stood for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from flowray.errors import FlowFormatError, FlowTooLargeError
from flowray.flow.handles import output_name, with_handles
from flowray.flow.nodes import body_of
from flowray.flow.shape import a_list, a_name, an_object, clipped, place_text
from flowray.flow.types import Group, Json, NodeId

Raw = dict[str, Json]
# Langflow puts a node's id and an output's name together; with each "_" in it a longer one costs more to take apart.
_LONGEST_SPELLED = 200


@dataclass(frozen=True, kw_only=True)
class _Box:
    """A group as it stood: `template` and `outputs` point inside, to `children`; `around` is the group it lay in."""

    id: str
    place: str
    around: _Box | None
    display_name: str
    template: Raw
    outputs: list[Json]
    children: dict[str, Raw]
    sources: frozenset[str] = field(default=frozenset())

    @cached_property
    def ports(self) -> Mapping[str, tuple[Json, Json]]:
        """The inner node and port behind an output, by its name; the first of one name that says a port counts."""
        found: dict[str, tuple[Json, Json]] = {}
        for output in self.outputs:
            if type(output) is not dict or not isinstance(output.get("name"), str):
                continue
            proxy = output.get("proxy") or {}
            port = proxy.get("name") or proxy.get("field") if type(proxy) is dict else None
            if port:
                found.setdefault(output["name"], (proxy.get("id"), port))
        return found

    @cached_property
    def last(self) -> str | None:
        """The first inner node that feeds none of the others."""
        return next((child for child in self.children if child not in self.sources), None)

    def lies_in(self, other: _Box) -> bool:
        """Tell whether it lay in the other one, however deep."""
        box = self.around
        while box is not None and box is not other:
            box = box.around
        return box is not None

    def proxy(self, name: Json) -> tuple[str, str] | None:
        """Return the inner node and field that a field of the group stands for."""
        entry = self.template.get(name) if isinstance(name, str) else None
        return _proxy(entry.get("proxy"), self.place, str(name)) if type(entry) is dict else None


def has_groups(nodes: Iterable[Raw]) -> bool:
    """Tell whether any node is a group."""
    return any(_inside(node) for node in nodes)


def flattened(nodes: list[Raw], edges: list[Raw], most: int) -> tuple[list[Raw], list[Raw], tuple[Group, ...]]:
    """Return nodes and edges without groups, and the groups' fields; more than `most` nodes are refused."""
    boxes: dict[str, _Box] = {}
    opened: list[_Box] = []
    flat: list[Raw] = []
    wires = list(edges)
    waiting: deque[tuple[Raw, _Box | None]] = deque((node, None) for node in nodes)
    while waiting:
        node, around = waiting.popleft()
        if not _inside(node):
            flat.append(node)
            continue
        box, inner = _opened(node, around)
        boxes[box.id] = box
        opened.append(box)
        wires += inner
        waiting.extend((child, box) for child in box.children.values())
        if len(flat) + len(waiting) > most:
            raise FlowTooLargeError(f"The flow has more than {most:,} nodes, those in groups counted.")
    groups = tuple(_group(box, boxes) for box in opened)
    return flat, [_rewired(wire, boxes) for wire in wires], groups


def _inside(node: Raw) -> Json:
    return body_of(node).get("flow")


def _opened(node: Raw, around: _Box | None) -> tuple[_Box, list[Raw]]:
    group_id = a_name(node.get("id"), "A group", "id")
    place = f"Group `{clipped(group_id)}`"
    body = node["data"]["node"]
    inner = an_object(an_object(body["flow"], place, "flow").get("data"), place, "flow", "data")
    frozen = bool(body.get("frozen"))
    children: dict[str, Raw] = {}
    for index, raw in enumerate(a_list(inner.get("nodes"), place, "flow", "data", "nodes")):
        child = an_object(raw, place, "flow", "data", "nodes", index)
        child_id = a_name(child.get("id"), place, "flow", "data", "nodes", index, "id")
        if child_id in children:
            raise FlowFormatError(f"{place} holds two nodes with the id `{clipped(child_id)}`.")
        children[child_id] = _moved_up(child, group_id, frozen=frozen)
    edges = [
        with_handles(an_object(raw, place, "flow", "data", "edges", index), f"{place}, edge {index}")
        for index, raw in enumerate(a_list(inner.get("edges"), place, "flow", "data", "edges"))
    ]
    template = an_object(body.get("template"), place, "template")
    _hand_down(template, children, place)
    box = _Box(
        id=group_id,
        place=place,
        around=around,
        display_name=str(body.get("display_name") or ""),
        template=template,
        outputs=a_list(body.get("outputs"), place, "outputs"),
        children=children,
        sources=frozenset(edge["source"] for edge in edges),
    )
    return box, edges


def _moved_up(child: Raw, group_id: str, *, frozen: bool) -> Raw:
    place = f"Node `{clipped(child['id'])}`"
    data = an_object(child.get("data"), place, "data")
    body = an_object(data.get("node"), place, "data", "node")
    template = an_object(body.get("template"), place, "template")
    fresh = {**body, "frozen": frozen, "template": dict(template)}
    return {**child, "parent_node_id": group_id, "data": {**data, "node": fresh}}


def _hand_down(template: Raw, children: Mapping[str, Raw], place: str) -> None:
    """The group shows some fields of its nodes as its own; the value set there is the one that counts."""
    for name, entry in template.items():
        if type(entry) is not dict or not entry.get("proxy"):
            continue
        child_id, field_name = _proxy(entry["proxy"], place, name)
        child = children.get(child_id)
        if child is None:
            continue
        inner = child["data"]["node"]["template"]
        old = an_object(inner.get(field_name), place, "template", name, "proxy", field_name)
        # `proxy` too: a field of a group inside this one goes on standing for what it stood for.
        kept = {key: old[key] for key in ("show", "advanced", "display_name", "proxy") if key in old}
        # A group's field may not turn source into plain text: it would then pass for a value that callers may change.
        kind = {"type": "code"} if old.get("type") == "code" else {}
        inner[field_name] = {**entry, **kept, **kind}


def _proxy(value: Json, place: str, name: str) -> tuple[str, str]:
    proxy = an_object(value, place, "template", name, "proxy")
    return (
        a_name(proxy.get("id"), place, "template", name, "proxy", "id"),
        a_name(proxy.get("field"), place, "template", name, "proxy", "field"),
    )


def _within(box: _Box, name: str, boxes: Mapping[str, _Box]) -> _Box | None:
    """Return the group of this id in `box`: no group stands for what is outside, so no way in is longer than deep."""
    inner = boxes.get(name)
    return inner if inner is not None and inner.lies_in(box) else None


def _group(box: _Box, boxes: Mapping[str, _Box]) -> Group:
    fields = {}
    for name in box.template:
        if end := _field_end(box, name, boxes):
            fields[name] = end
    return Group(id=NodeId(box.id), display_name=box.display_name, fields=fields)


def _field_end(box: _Box, name: str, boxes: Mapping[str, _Box]) -> tuple[NodeId, str] | None:
    end = box.proxy(name)
    while end and (inner := _within(box, end[0], boxes)):
        box, end = inner, inner.proxy(end[1])
    return (NodeId(end[0]), end[1]) if end else None


def _rewired(raw: Raw, boxes: Mapping[str, _Box]) -> Raw:
    if raw["target"] in boxes:
        raw = _retargeted(raw, boxes)
    box = boxes.get(raw["source"])
    while box is not None:
        raw = _resourced(raw, box)
        box = _within(box, raw["source"], boxes)
    return raw


def _retargeted(raw: Raw, boxes: Mapping[str, _Box]) -> Raw:
    handle = raw["data"]["targetHandle"]
    box = boxes[raw["target"]]
    end = _field_end(box, handle.get("fieldName"), boxes)
    if end is None and handle.get("proxy"):
        end = _through(_proxy(handle["proxy"], box.place, str(handle.get("fieldName"))), boxes)
    if end is None:
        return raw  # left dangling: `check` names it
    fresh = {key: value for key, value in handle.items() if key != "proxy"}
    fresh |= {"fieldName": end[1], "id": end[0]}
    return {**raw, "target": end[0], "data": {**raw["data"], "targetHandle": fresh}}


def _through(end: tuple[str, str], boxes: Mapping[str, _Box]) -> tuple[NodeId, str] | None:
    box = boxes.get(end[0])
    return _field_end(box, end[1], boxes) if box else (NodeId(end[0]), end[1])


def _resourced(raw: Raw, box: _Box) -> Raw:
    handle = raw["data"]["sourceHandle"]
    child_id, name = _output_end(handle, box)
    child = box.children[child_id]
    fresh = {**handle, "id": child_id, "name": name, "dataType": child["data"].get("type") or ""}
    return {**raw, "source": child_id, "data": {**raw["data"], "sourceHandle": fresh}}


def _output_end(handle: Raw, box: _Box) -> tuple[str, str]:
    """Return the inner node and port behind an output: as the group says, else as its name says, else the last node."""
    name = handle.get("name")
    if not isinstance(name, str):
        name = ""
    end = _said(name, box) or _spelled(name, box)
    if end is None:
        end = (box.last, output_name(handle, box.place)) if box.last else None
    if end is None or end[0] not in box.children:
        raise FlowFormatError(f"{place_text(box.place, 'outputs')}: no node stands behind output `{clipped(name)}`.")
    return end


def _said(name: str, box: _Box) -> tuple[str, str] | None:
    if name not in box.ports:
        return None
    child_id, port = box.ports[name]
    place = (box.place, "outputs", name, "proxy")
    return a_name(child_id, *place, "id"), a_name(port, *place, "name")


def _spelled(name: str, box: _Box) -> tuple[str, str] | None:
    child = name if len(name) <= _LONGEST_SPELLED else ""
    while "_" in child:
        child = child.rpartition("_")[0]
        if child in box.children:
            return child, name.removeprefix(f"{child}_")
    return None
