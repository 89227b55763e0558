"""Differences between versions of a flow, as lines to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_MARKS = {"added": "+", "removed": "-", "changed": "~"}
_LONGEST = 100


def lines(found: Mapping[str, Any], *, indent: str = "") -> Iterator[str]:
    """Yield what `flowray.flow.changes.changes` found, as it comes in JSON."""
    for node in found["nodes"]:
        yield f"{indent}{_MARKS[node['kind']]} {node['node']} ({node['component']})"
        if node["source"] and node["kind"] == "changed":
            before, after = node["source"]
            yield f"{indent}    source: {_short(before)} -> {_short(after)}"
        for change in node["changes"]:
            yield f"{indent}    {change['what']}: {_said(change['before'])} -> {_said(change['after'])}"
    for edge in found["edges"]:
        ends = f"{edge['source']}.{edge['output']} > {edge['target']}.{edge['field']}"
        yield f"{indent}{_MARKS[edge['kind']]} wire {ends}"
    for change in found["settings"]:
        yield f"{indent}~ {change['what']}: {_said(change['before'])} -> {_said(change['after'])}"


def _short(digest: str | None) -> str:
    return digest[:12] if digest else "none"


def _said(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"
