"""The door for other frameworks, seen from inside: what a node is given, what it tells, what it comes to.

The other half of an adapter is trusted and runs nothing: `flowray.component.adapters`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text and what is known of it."""

    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Given:
    """What came to the node: `settings` are its other fields. None as text is nothing wired and nothing written."""

    definition: str
    text: str | None
    documents: Sequence[Document]
    inputs: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the node came to; `outputs` is JSON."""

    text: str
    documents: Sequence[Document] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an adapter tells while it runs; each may be called from any thread.

    `piece` is a piece of the text, and None when nobody listens; `note` something for the node's log, by name and text;
    `used` a model's call: the model, tokens in, tokens out.
    """

    piece: Callable[[str], None] | None
    note: Callable[[str, str], None]
    used: Callable[[str, int, int], None]


class Adapter(Protocol):
    """Runs one kind of node. What it raises is the node's failure, in its own words."""

    async def run(self, given: Given, told: Told) -> Outcome:
        """Build what the definition says and run it once. What it tells is told before it returns."""
