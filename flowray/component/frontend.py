"""From Langflow's description of a component (a "frontend node") to its spec."""

from __future__ import annotations

import hashlib

from flowray.component.needs import needs_of
from flowray.component.spec import ComponentSpec
from flowray.component.terms import said_of_node
from flowray.flow.nodes import fields_of, outputs_of
from flowray.flow.shape import a_text, an_object, some_texts
from flowray.flow.types import Json


def spec_of(name: str, frontend: dict[str, Json], *, origin: str) -> ComponentSpec:
    """Return the spec of a component by its frontend node; `origin` says who made that."""
    place = f"Component `{name}`"
    template = an_object(frontend.get("template"), place, "template")
    source = a_text(an_object(template.get("code"), place, "template", "code").get("value"), place, "template", "code")
    return ComponentSpec(
        digest=hashlib.sha256(source.encode()).hexdigest(),
        name=name,
        display_name=a_text(frontend.get("display_name"), place, "display_name") or name,
        fields=fields_of(template, place),
        outputs=outputs_of(frontend.get("outputs"), place),
        base_classes=some_texts(frontend.get("base_classes"), place, "base_classes"),
        needs=needs_of(frontend.get("metadata"), place),
        terms=said_of_node(frontend.get("metadata"), place),
        imports=imports_of(frontend.get("metadata")),
        origin=origin,
        frontend=frontend,
    )


def imports_of(metadata: Json) -> tuple[str, ...]:
    """Return the import names that Langflow noted when the component was saved: a hint, with gaps."""
    noted = metadata.get("dependencies") if isinstance(metadata, dict) else None
    listed = noted.get("dependencies") if isinstance(noted, dict) else None
    names = [entry.get("name") for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return tuple(name for name in names if isinstance(name, str))
