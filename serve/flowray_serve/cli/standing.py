"""How a flow in a folder and the one on the service stand to each other, and what is different between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from flowray.client import Client, version_calls
from flowray.errors import NotFoundError
from flowray.flow.changes import Change, changes, same
from flowray.flow.form import ATTRIBUTES, form
from flowray.flow.formed import Formed
from flowray.flow.langflow import read
from flowray_serve.cli.folder import FlowFile, Folder

# Ahead: only the folder has changed since both were the same. Behind: only the service. Apart: both, or nobody knows.
Standing = Literal["same", "ahead", "behind", "apart", "only here", "only there"]


def standing(here: str | None, there: str | None, seen: str | None) -> Standing:
    """How two sides stand, by their fingerprints and the one that both had last."""
    if here is None or there is None:
        return "only there" if here is None else "only here"
    if here == there:
        return "same"
    if there == seen:
        return "ahead"
    return "behind" if here == seen else "apart"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A flow as it is here and there; `made` is what a push would publish, `fingerprint` is the service's."""

    id: str
    name: str
    standing: Standing
    file: FlowFile | None = None
    document: Mapping[str, Any] | None = None
    made: Formed | None = None
    fingerprint: str | None = None

    def changes(self, *, push: bool) -> Mapping[str, Any]:
        """What a push would change on the service, or a pull in the folder."""
        here = self.made.document if self.made is not None else None
        before, after = (self.document, here) if push else (here, self.document)
        found = asdict(changes(read(_drawn(before)), read(_drawn(after))))
        return {**found, "about": [asdict(one) for one in _about(before or {}, after or {})]}


def pairs(client: Client, folder: Folder, names: list[str]) -> Iterator[Pair]:
    """All flows of both sides, or those with these ids, names or endpoint names."""
    files = folder.flows()
    listed = {one.id: one for one in client.flows()}
    wanted = [one for one in dict.fromkeys((*files, *listed)) if not names or _is_named(one, files, listed, names)]
    for name in names:
        if not any(_is_named(one, files, listed, [name]) for one in wanted):
            raise NotFoundError(f"There is no flow `{name[:80]}`, neither in the folder nor on the service.")
    for flow_id in wanted:
        document = client.ask(version_calls.document(flow_id)) if flow_id in listed else None
        yield pair_of(flow_id, files.get(flow_id), document, folder.seen(flow_id))


def pair_of(flow_id: str, file: FlowFile | None, document: Mapping[str, Any] | None, seen: str | None) -> Pair:
    """One flow of both sides."""
    made = file.document(document) if file is not None else None
    here = form(made.document).fingerprint if made is not None else None
    there = form(document).fingerprint if document is not None else None
    name = file.name if file is not None else str((document or {}).get("name"))
    found = standing(here, there, seen)
    return Pair(id=flow_id, name=name, standing=found, file=file, document=document, made=made, fingerprint=there)


def _is_named(flow_id: str, files: Mapping[str, FlowFile], listed: Mapping[str, Any], names: list[str]) -> bool:
    file, flow = files.get(flow_id), listed.get(flow_id)
    known = {flow_id, file.name if file else "", *((flow.name, flow.endpoint_name) if flow else ())}
    return any(name in known for name in names)


def _drawn(document: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return document if document is not None and document.get("data") else {"nodes": [], "edges": []}


def _about(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    for name in ATTRIBUTES:
        was, now = (one.get(name) or None for one in (before, after))
        if not same(was, now) and name != "id":
            yield Change(what=name, before=was, after=now)
