"""Components as lfx ships them, read out of its index."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from flowray.component.index import find_index


@cache
def shipped(name: str) -> dict[str, Any]:
    """A component's node, as the editor's palette has it."""
    index = orjson.loads(find_index().read_bytes())
    found: dict[str, Any] = next(nodes[name] for _, nodes in index["entries"] if name in nodes)
    return found


def source(name: str) -> str:
    """A component's source."""
    code: str = shipped(name)["template"]["code"]["value"]
    return code
