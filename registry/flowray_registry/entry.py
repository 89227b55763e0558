"""One version of one component, as it is kept: its source, and what is known of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from flowray.component.frontend import spec_of
from flowray.component.spec import ComponentSpec
from flowray.errors import FlowRayError
from flowray.flow.types import Json

MOST_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A component's version. `registered_at` is seconds since the epoch."""

    spec: ComponentSpec
    source: str
    registered_at: float


def digest_of(source: str) -> str:
    """Return the name of a component's version: the full SHA-256 (hex) of its source."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()


def shipped(spec: ComponentSpec, *, at: float) -> Entry:
    """Return the entry of a component that lfx ships."""
    return Entry(spec=spec, source=spec.frontend["template"]["code"]["value"], registered_at=at)


def extracted(source: str, name: str, answer: Mapping[str, Json], *, at: float) -> Entry:
    """Return the entry of a component from what its sandbox answered, which is no more than a claim."""
    frontend, imports = answer.get("frontend"), answer.get("imports")
    if not isinstance(frontend, dict) or len(orjson.dumps(frontend)) > MOST_BYTES:
        return broken(source, name, "Its description is missing or too large.", at=at)
    try:
        spec = spec_of(name, _with_source(frontend, source), origin="sandbox")
    except FlowRayError as cause:
        return broken(source, name, cause.message, at=at)
    named = tuple(each for each in imports if isinstance(each, str)) if isinstance(imports, list) else ()
    return Entry(spec=replace(spec, imports=named or spec.imports), source=source, registered_at=at)


def broken(source: str, name: str, problem: str, *, at: float) -> Entry:
    """Return the entry of a component that cannot be loaded, with its own error."""
    spec = ComponentSpec(
        digest=digest_of(source),
        name=name,
        display_name=name,
        fields={},
        outputs=(),
        origin="sandbox",
        problem=problem,
    )
    return Entry(spec=spec, source=source, registered_at=at)


def encode(entry: Entry) -> bytes:
    """Return the document that is kept of an entry."""
    spec = entry.spec
    return orjson.dumps(
        {
            "digest": spec.digest,
            "name": spec.name,
            "origin": spec.origin,
            "problem": spec.problem,
            "imports": spec.imports,
            "registered_at": entry.registered_at,
            "source": entry.source,
            "frontend": spec.frontend or None,
        }
    )


def decode(document: bytes) -> Entry:
    """Return the entry of a document that this module wrote."""
    kept = orjson.loads(document)
    name, source, at = kept["name"], kept["source"], kept["registered_at"]
    if kept["frontend"] is None:
        return broken(source, name, kept["problem"] or "Nothing is known of it.", at=at)
    try:
        spec = spec_of(name, kept["frontend"], origin=kept["origin"])
    except FlowRayError as cause:  # another release took it; one that cannot be read must not keep all others away
        return broken(source, name, cause.message, at=at)
    spec = replace(spec, imports=tuple(kept["imports"]), problem=kept["problem"])
    return Entry(spec=spec, source=source, registered_at=at)


def _with_source(frontend: dict[str, Json], source: str) -> dict[str, Json]:
    """The sandbox may say what it likes of the source it was given; here it is."""
    template = frontend.get("template")
    if not isinstance(template, dict):
        return frontend
    code = template.get("code")
    field = {**code, "value": source} if isinstance(code, dict) else {"type": "code", "name": "code", "value": source}
    return {**frontend, "template": {**template, "code": field}}
