"""How the nodes of another framework look in a flow: one description, read as data by both sides of the walls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as _field

import orjson

from flowray.component.inside import inside_package
from flowray.flow.types import Json, Node


@dataclass(frozen=True, kw_only=True)
class Shape:
    """`type` is what a node of this kind says it is, `definition` the field that holds what to run.

    `image` is the environment image that has the framework, `framework` its import name; `frontend` the node as an
    editor adds it to a flow.
    """

    type: str
    image: str
    framework: str
    definition: str
    frontend: Mapping[str, Json] = _field(repr=False)

    def definition_of(self, node: Node) -> str:
        """Return what the node would run; nothing when it is no text."""
        return self.text_of(node, self.definition)

    def text_of(self, node: Node, field: str) -> str:
        """Return the text of a field."""
        value = node.fields[field].value if field in node.fields else None
        return value if isinstance(value, str) else ""


def read_shape(name: str) -> Shape:
    """Return a description that is shipped beside the code that runs inside, which is never imported here."""
    told = orjson.loads((inside_package() / "adapters" / f"{name}.json").read_bytes())
    frontend = told.pop("node")
    return Shape(**told, frontend=frontend)
