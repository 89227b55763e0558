"""What a run was given beside its flow, carried over to another version of the flow."""

from __future__ import annotations

from dataclasses import replace

from flowray.flow.nodes import field_of, with_template
from flowray.flow.types import Flow, Json, Node


def carried(ran: Flow, published: Flow, onto: Flow) -> Flow:
    """Return `onto` with the values in which a run's flow was another than the published one.

    Nodes and fields that `onto` has no more are passed over; source is nobody's to give.
    """
    given = {node.id: _given(node, published.by_id.get(node.id)) for node in ran.nodes}
    return replace(onto, nodes=tuple(_with(node, given.get(node.id) or {}) for node in onto.nodes))


def _given(node: Node, before: Node | None) -> dict[str, dict[str, Json]]:
    """The facts of a node's fields that were others than those published."""
    if before is None:
        return {}
    was = before.raw["data"]["node"]["template"]
    found = {}
    for name, now in node.raw["data"]["node"]["template"].items():
        then = was.get(name)
        if name != "code" and isinstance(now, dict) and isinstance(then, dict) and now != then:
            found[name] = {key: value for key, value in now.items() if key not in then or then[key] != value}
    return found


def _with(node: Node, given: dict[str, dict[str, Json]]) -> Node:
    if not given:
        return node
    template, fields = dict(node.raw["data"]["node"]["template"]), dict(node.fields)
    for name, facts in given.items():
        if name in fields:
            template[name] = {**template[name], **facts}
            fields[name] = field_of(name, template[name], f"Node `{node.id[:80]}`")
    return replace(node, fields=fields, raw=with_template(node.raw, template))
