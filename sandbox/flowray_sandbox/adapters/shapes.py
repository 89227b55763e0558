"""Which adapters there are, by the type that their nodes have in a flow; a framework is imported where it is there."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from flowray_sandbox.adapters.adapter import Adapter

# The modules beside this one, each with a description of its nodes and, named `ADAPTER`, what runs them.
_NAMES = ("haystack", "llamaindex")
Shape = Mapping[str, Any]


@cache
def shapes() -> Mapping[str, Shape]:
    """The descriptions by type."""
    described = {name: _described(name) for name in _NAMES}
    return {shape["type"]: {**shape, "module": f"{__package__}.{name}"} for name, shape in described.items()}


def adapter_for(shape: Shape) -> Adapter:
    """What runs nodes of this shape; imports its framework."""
    found: Adapter = importlib.import_module(shape["module"]).ADAPTER
    return found


def prepare() -> None:
    """Import the frameworks that this image has, in the zygote: they take seconds."""
    for shape in shapes().values():
        if importlib.util.find_spec(shape["framework"]) is not None:
            adapter_for(shape)


def frontends() -> dict[str, dict[str, Any]]:
    """The nodes as an editor adds them to a flow."""
    return {kind: {**shape["node"], "category": "frameworks"} for kind, shape in shapes().items()}


def _described(name: str) -> dict[str, Any]:
    shape: dict[str, Any] = orjson.loads((Path(__file__).parent / f"{name}.json").read_bytes())
    return shape
