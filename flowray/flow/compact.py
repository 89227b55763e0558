"""Flows in lfx's compact form, as far as they are looked at before a sandbox draws them: how many nodes they have."""

from __future__ import annotations

from collections.abc import Iterator

from flowray.flow.document import Bounds, refuse_too_many

_NODES = "nodes:"
_OTHERS = frozenset({"edges:", "config:"})


def refuse_too_large(text: str) -> None:
    """Raise `FlowTooLargeError` for a description of more nodes than a flow may have."""
    refuse_too_many(sum(1 for _ in _nodes(text)), Bounds().nodes)


def _nodes(text: str) -> Iterator[str]:
    """The lines that lfx takes for nodes."""
    within = False
    for line in map(str.strip, text.split("\n")):
        if line == _NODES or line in _OTHERS:
            within = line == _NODES
        elif within and line:
            yield line
