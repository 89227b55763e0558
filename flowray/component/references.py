"""Which variables a flow refers to: by a field that takes its value from one, by a model's provider, by a word of code.

A run gets those and no others, so that a flow which needs one secret of its tenant does not carry all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from flowray.component.providers import variables_of
from flowray.flow.types import Field, Flow, Json

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_DEPTH_LIMIT = 20


def words_of(flow: Flow) -> frozenset[str]:
    """Every word of the flow's sources and texts that could be a variable's name."""
    texts = (text for node in flow.nodes for text in (node.code or "", *_texts_of(node.fields.values())))
    return frozenset(word for text in texts for word in _WORD.findall(text))


def named_by_fields(flow: Flow) -> frozenset[str]:
    """What fields name: a variable that they take their value from, or a provider that has variables of its own."""
    found = set(taken_from(flow))
    for node in flow.nodes:
        for field in node.fields.values():
            for provider in _providers(field.value):
                found.update(variables_of(provider))
    return frozenset(found)


def taken_from(flow: Flow) -> frozenset[str]:
    """The variables that fields take their values from."""
    fields = (field for node in flow.nodes for field in node.fields.values())
    return frozenset(field.value for field in fields if field.load_from_db and isinstance(field.value, str))


def _providers(value: Json) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        provider = one.get("provider") if isinstance(one, dict) else None
        if isinstance(provider, str) and provider:
            yield provider


def _texts_of(fields: Collection[Field]) -> Iterator[str]:
    for field in fields:
        yield from _texts(field.value, _DEPTH_LIMIT)


def _texts(value: Json, depth: int) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list() if depth:
            for item in value:
                yield from _texts(item, depth - 1)
        case dict() if depth:
            for key, item in value.items():
                yield key
                yield from _texts(item, depth - 1)
