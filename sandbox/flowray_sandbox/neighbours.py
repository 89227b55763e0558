"""Nodes that ran in another sandbox: what their consumers ask of them beyond their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lfx.graph.vertex.base import Vertex
from lfx.graph.vertex.exceptions import NoComponentInstanceError


class Absent:
    """Speaks for the component of a node that ran elsewhere, without running its code.

    Chat Output names its source: it reads the display name, the icon, the id and the model of its neighbour's
    component.
    """

    outputs: tuple[Any, ...] = ()
    _token_usage = None

    def __init__(self, vertex: Vertex, secrets: set[str]) -> None:
        self._id = vertex.id
        self.display_name = vertex.display_name
        self.icon = vertex.icon
        self._fields = vertex.data["node"]["template"]
        self._secret_values = secrets

    def get_id(self) -> str:
        """The node's id."""
        return self._id

    def get_output(self, _: str) -> Any:
        """It has none: lfx then takes the node's results."""
        raise NoComponentInstanceError(self._id)

    def __getattr__(self, name: str) -> Any:
        """A component's fields are its attributes."""
        field = self.__dict__.get("_fields", {}).get(name)
        if isinstance(field, dict):
            return field.get("value")
        raise AttributeError(name)


def secrets_of(nodes: Iterable[Mapping[str, Any]], variables: Mapping[str, str]) -> set[str]:
    """What the nodes' password fields hold: lfx masks it wherever results are shown, also further down."""
    found: set[str] = set()
    for node in nodes:
        for field in node["data"]["node"]["template"].values():
            if isinstance(field, dict) and field.get("password"):
                value = field.get("value")
                if isinstance(value, str) and value:
                    found.add(variables.get(value, value) if field.get("load_from_db") else value)
    return found
