"""Other frameworks' nodes: what kinds there are, and whose a node is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from flowray.component.adapters.adapter import Adapter, Problem
from flowray.component.adapters.haystack import Haystack
from flowray.component.adapters.llamaindex import LlamaIndex
from flowray.component.adapters.shape import read_shape
from flowray.flow.types import Node

__all__ = ["Adapter", "Problem", "adapter_of", "adapters"]


@cache
def adapters() -> Mapping[str, Adapter]:
    """Return all adapters by the type that their nodes have in a flow."""
    every: tuple[Adapter, ...] = (Haystack(read_shape("haystack")), LlamaIndex(read_shape("llamaindex")))
    return {adapter.shape.type: adapter for adapter in every}


def adapter_of(node: Node) -> Adapter | None:
    """Return whose node this is; a node that brings a component's source is Langflow's, whatever it is called."""
    return None if node.code is not None else adapters().get(node.component)
