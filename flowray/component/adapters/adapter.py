"""The door for other frameworks, seen from outside: what has to be known of a node before it runs.

The other half of an adapter runs it, inside: `flowray_sandbox.adapters`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from flowray.component.adapters.shape import Shape
from flowray.component.imports import Imports
from flowray.flow.types import Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """What is wrong with a field of a node; the message goes on after the node's name.

    Where it is that a name is `missing`, `known` are the ones that are there.
    """

    field: str
    message: str
    missing: str = ""
    known: Collection[str] = ()


class Adapter(Protocol):
    """One kind of node that is no Langflow component. It reads what the flow says and runs none of it."""

    @property
    def shape(self) -> Shape:
        """How its nodes look: their type, fields and ports."""

    def imports(self, node: Node) -> Imports:
        """Return the modules that the node needs: they say which pools can run it."""

    def problems(self, node: Node) -> Iterator[Problem]:
        """Yield what is sure to fail when the node runs."""
