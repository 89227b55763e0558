"""Flows in a folder: `NAME.flow.yaml` and what they stand on, or plain exports; and the state last seen of each."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from flowray.errors import FlowFormatError, InvalidRequestError
from flowray.flow.export import exported, imported
from flowray.flow.form import Form, form
from flowray.flow.form_text import parsed, written
from flowray.flow.formed import Formed, formed
from flowray.flow.secrets import holds_secret
from flowray_serve.cli.writing import writing

ENDING = ".flow.yaml"
_COMPONENTS, _LOCK = "components", "flowray.lock"
_NAMED_BY_CONTENT = re.compile(r".+-[0-9a-f]{12}\.(py|json)")
_SLUG = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True)
class FlowFile:
    """A flow in the folder. `form` is what its file says, `plain` the document of a plain export."""

    path: Path
    id: str
    name: str
    form: Form | None = None
    plain: Mapping[str, Any] | None = field(default=None, repr=False)

    def document(self, onto: Mapping[str, Any] | None) -> Formed:
        """The flow as it would be published over what the service has."""
        if self.form is not None:
            return formed(self.form, onto)
        return Formed(document=_with_secrets(self.plain or {}, onto), unfilled=())


class Folder:
    """A folder of flows, and the lock beside them: what the service at `url` had when both were last the same."""

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._url = url.rstrip("/")

    def flows(self) -> dict[str, FlowFile]:
        """The flows by their id; `InvalidRequestError` when two files hold the same."""
        if not self._path.is_dir():
            raise InvalidRequestError(f"{self._path} is no folder.")
        found: dict[str, FlowFile] = {}
        for one in self._read():
            if one.id in found:
                raise InvalidRequestError(f"{one.path} and {found[one.id].path} hold the same flow, {one.id}.")
            found[one.id] = one
        return found

    def seen(self, flow_id: str) -> str | None:
        """The fingerprint of a flow when folder and service were last the same."""
        found: str | None = self._lock().get(self._url, {}).get(flow_id)
        return found

    def note(self, flow_id: str, fingerprint: str) -> None:
        """Note that they are the same now."""
        lock = self._lock()
        lock.setdefault(self._url, {})[flow_id] = fingerprint
        _write(self._path / _LOCK, json.dumps(lock, indent=2, sort_keys=True) + "\n")

    def write(self, document: Mapping[str, Any], there: FlowFile | None) -> Path:
        """Write a flow of the service, over the file that holds it if there is one."""
        if there is not None and there.plain is not None:
            kept = {name: value for name, value in exported(document).items() if name in there.plain}
            _write(there.path, orjson.dumps(kept, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())
            return there.path
        made = form(document)
        path = there.path if there is not None else self._free(str(document.get("endpoint_name") or document["name"]))
        for name, text in made.files.items():
            _write(self._path / _COMPONENTS / name, text)
        _write(path, written(made.flow))
        return path

    def sweep(self) -> None:
        """Remove files named by their content that no flow stands on any more."""
        used = {name for one in self._read() if one.form is not None for name in _names_in(one.form.flow)}
        for path in (self._path / _COMPONENTS).glob("*"):
            if _NAMED_BY_CONTENT.fullmatch(path.name) and path.name not in used:
                path.unlink()

    def _read(self) -> Iterator[FlowFile]:
        for path in sorted(self._path.glob(f"*{ENDING}")):
            flow = parsed(path.read_text(encoding="utf-8"), str(path))
            files = {name: self._component(name, path) for name in _names_in(flow)}
            yield FlowFile(path, _id_of(flow), str(flow.get("name")), form=Form(flow=flow, files=files))
        for path in sorted(self._path.glob("*.json")):
            plain = _export(path)
            if plain is not None:
                yield FlowFile(path, _id_of(plain), str(plain.get("name")), plain=imported(plain))

    def _component(self, name: str, user: Path) -> str:
        path = self._path / _COMPONENTS / name
        if "/" in name or not path.is_file():
            raise FlowFormatError(f"{user} stands on {_COMPONENTS}/{name[:100]}, which is not there.")
        return path.read_bytes().decode("utf-8", "surrogatepass")

    def _free(self, name: str) -> Path:
        slug = _SLUG.sub("-", name).strip("-").lower()[:80] or "flow"
        names = (slug, *(f"{slug}-{number}" for number in range(2, 10_000)))
        return next(path for one in names if not (path := self._path / f"{one}{ENDING}").exists())

    def _lock(self) -> dict[str, Any]:
        path = self._path / _LOCK
        if not path.exists():
            return {}
        try:
            found = json.loads(path.read_text())
        except ValueError as cause:
            raise FlowFormatError(f"{path} is not JSON. Restore it, or remove it and pull again.") from cause
        return found if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != data:
            path.write_bytes(data)


def _names_in(flow: Mapping[str, Any]) -> Iterator[str]:
    nodes = flow.get("nodes")
    for entry in nodes.values() if isinstance(nodes, dict) else ():
        if isinstance(entry, dict):
            yield from (entry[key] for key in ("definition", "source") if isinstance(entry.get(key), str))
            yield from _names_in(entry.get("flow") or {})


def _id_of(flow: Mapping[str, Any]) -> str:
    # As `flowray publish` has it for a flow that has none.
    return str(flow.get("id") or uuid.uuid5(uuid.NAMESPACE_URL, f"flowray:flow:{flow.get('name')}"))


def _export(path: Path) -> Mapping[str, Any] | None:
    """The export in a file; None for JSON that is something else."""
    try:
        found = json.loads(path.read_bytes())
    except ValueError as cause:
        raise FlowFormatError(f"{path} is not JSON: {cause}.") from cause
    if not isinstance(found, dict) or not found.get("name"):
        return None
    canvas = found.get("data", {name: found.get(name) for name in ("nodes", "edges", "viewport")})
    return {**found, "data": canvas} if isinstance(canvas, dict) and isinstance(canvas.get("nodes"), list) else None


def _with_secrets(document: Mapping[str, Any], onto: Mapping[str, Any] | None) -> dict[str, Any]:
    """The document of an export, whose secrets were left out, with those that the service has."""
    known = {raw.get("id"): raw for raw in ((onto or {}).get("data") or {}).get("nodes") or []}
    nodes = [_filled(raw, known.get(raw.get("id"))) for raw in document["data"]["nodes"]]
    return {**document, "id": _id_of(document), "data": {**document["data"], "nodes": nodes}}


def _filled(raw: Mapping[str, Any], known: Mapping[str, Any] | None) -> Mapping[str, Any]:
    body = (raw.get("data") or {}).get("node") or {}
    before = (((known or {}).get("data") or {}).get("node") or {}).get("template") or {}
    template = body.get("template")
    if not before or not isinstance(template, dict):
        return raw
    fields = {name: _with_secret(name, field, before.get(name)) for name, field in template.items()}
    return {**raw, "data": {**raw["data"], "node": {**body, "template": fields}}}


def _with_secret(name: str, field: Any, before: Any) -> Any:
    is_left_out = isinstance(field, dict) and not field.get("value") and not field.get("load_from_db")
    if is_left_out and isinstance(before, dict) and holds_secret(name, before):
        return {**field, "value": before["value"]}
    return field
