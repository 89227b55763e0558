"""What is different between two versions of a flow: node by node and wire by wire, as far as a run would notice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeGuard

from flowray.flow.digest import meaning_of_edge, meaning_of_node, wires_by_field
from flowray.flow.hosts import own_words
from flowray.flow.secrets import holds_secret
from flowray.flow.types import Edge, Flow, Json, Node, NodeId

Kind = Literal["added", "removed", "changed"]
SECRET = "(secret)"  # noqa: S105 - stands where one would have been


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing of a node that is not what it was; None: it was, or is, not there.

    `what` is a field's name when its value changed, else a path such as `template.model.options` or `outputs`.
    """

    what: str
    before: Json
    after: Json


@dataclass(frozen=True, kw_only=True)
class NodeChange:
    """A node that came, went or changed. `source` are the digests of its component's source, when those differ."""

    node: NodeId
    component: str
    kind: Kind
    changes: tuple[Change, ...] = ()
    source: tuple[str | None, str | None] | None = None


@dataclass(frozen=True, kw_only=True)
class EdgeChange:
    """A wire that came or went; one that was plugged in elsewhere did both.

    `changed`: what it may carry is other, or its turn among the wires of its field.
    """

    kind: Kind
    source: NodeId
    output: str
    target: NodeId
    field: str


@dataclass(frozen=True, kw_only=True)
class Changes:
    """All that is different. `settings` are the words of the flow as a whole, in `data.flowray`."""

    nodes: tuple[NodeChange, ...] = ()
    edges: tuple[EdgeChange, ...] = ()
    settings: tuple[Change, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.nodes or self.edges or self.settings)


def changes(before: Flow, after: Flow) -> Changes:
    """Return what is different: nothing exactly when the digests of both are the same. Secrets are not shown."""
    return Changes(
        nodes=tuple(_nodes(before, after)),
        edges=tuple(_edges(before, after)),
        settings=tuple(_unequal("flowray", own_words(before), own_words(after))),
    )


def _nodes(before: Flow, after: Flow) -> Iterator[NodeChange]:
    old, new = _by_id(before), _by_id(after)
    for node in [*old, *(node for node in new if node not in old)]:
        was, now = old.get(node), new.get(node)
        if was is None or now is None:
            there = was or now
            assert there is not None  # noqa: S101 - it came from one of both
            digests = (was.code_digest if was else None, now.code_digest if now else None)
            kind: Kind = "added" if was is None else "removed"
            yield NodeChange(node=node, component=there.component, kind=kind, source=digests)
            continue
        found = tuple(_of_node(was, now))
        digests = (was.code_digest, now.code_digest)
        source = digests if digests[0] != digests[1] else None
        if found or source:
            yield NodeChange(node=node, component=now.component, kind="changed", changes=found, source=source)


def _by_id(flow: Flow) -> dict[NodeId, Node]:
    return {node.id: node for node in sorted(flow.nodes, key=lambda node: node.id)}


def _of_node(was: Node, now: Node) -> Iterator[Change]:
    if was.component != now.component:
        yield Change(what="component", before=was.component, after=now.component)
    old, new = meaning_of_node(was), meaning_of_node(now)
    for name in sorted(old.keys() | new.keys()):
        if name != "template":
            yield from _unequal(name, old.get(name), new.get(name), was=name in old, now=name in new)
    yield from _of_template(old["template"], new["template"])


def _of_template(old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if name == "code" and _has_source(was) and _has_source(now):
            yield from _of_field(name, {**was, "value": ""}, {**now, "value": ""})  # the digests say it
        elif isinstance(was, dict) and isinstance(now, dict):
            yield from _of_field(name, was, now)
        elif not same(was, now) or (name in old) != (name in new):
            yield Change(what=f"template.{name}", before=_shown(name, was), after=_shown(name, now))


def _has_source(entry: Json) -> TypeGuard[Mapping[str, Json]]:
    return isinstance(entry, dict) and isinstance(entry.get("value"), str)


def _of_field(name: str, was: Mapping[str, Json], now: Mapping[str, Json]) -> Iterator[Change]:
    for key in sorted(was.keys() | now.keys()):
        if same(was.get(key), now.get(key)) and (key in was) == (key in now):
            continue
        what = name if key == "value" else f"template.{name}.{key}"
        before, after = was.get(key), now.get(key)
        if key == "value":
            before = SECRET if holds_secret(name, was) else before
            after = SECRET if holds_secret(name, now) else after
        yield Change(what=what, before=before, after=after)


def _shown(name: str, entry: Json) -> Json:
    if isinstance(entry, dict) and holds_secret(name, entry):
        return {**entry, "value": SECRET}
    return entry


def _unequal(name: str, old: Json, new: Json, *, was: bool = True, now: bool = True) -> Iterator[Change]:
    if not same(old, new) or was != now:
        yield Change(what=name, before=old, after=new)


def same(one: Json, other: Json) -> bool:
    """Whether two values are the same JSON: 1, 1.0 and true are not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


def _edges(before: Flow, after: Flow) -> Iterator[EdgeChange]:
    old = {edge.ends: edge for edge in before.edges}
    new = {edge.ends: edge for edge in after.edges}
    moved = set(_moved(before, after))
    for ends in sorted(old.keys() | new.keys()):
        edge = old.get(ends) or new[ends]
        if ends not in new:
            yield _edge(edge, "removed")
        elif ends not in old:
            yield _edge(edge, "added")
        elif ends in moved or meaning_of_edge(old[ends]) != meaning_of_edge(new[ends]):
            yield _edge(new[ends], "changed")


def _moved(before: Flow, after: Flow) -> Iterator[tuple[NodeId, str, NodeId, str]]:
    was, now = wires_by_field(before), wires_by_field(after)
    for field in was.keys() & now.keys():
        old, new = [edge.ends for edge in was[field]], [edge.ends for edge in now[field]]
        both = set(old) & set(new)
        stayed = [ends for ends in old if ends in both]
        if stayed != [ends for ends in new if ends in both]:
            yield from stayed


def _edge(edge: Edge, kind: Kind) -> EdgeChange:
    return EdgeChange(kind=kind, source=edge.source, output=edge.output, target=edge.target, field=edge.field)
