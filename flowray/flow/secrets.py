"""Which values of a flow are secrets: they go into no file, no comparison and no message."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from flowray.flow.types import Json

_NAMED = re.compile(r"(^|_)(api_?key|secret|password|passwd|token|credentials?|private_key)($|_)", re.IGNORECASE)
# Names that say "token" and mean a count, or the name of a thing.
_HARMLESS = re.compile(
    r"(max|min|num|n|count|total|chunk)_?tokens?|tokens?_(limit|count|usage)|_name$|_env$", re.IGNORECASE
)
_IN_A_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@]+@", re.IGNORECASE)
_IN_A_HEADER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}|\b(authorization|x-api-key|api-key)\b", re.IGNORECASE)
_TEXT = frozenset({"str", "SecretStr"})
# Where headers and environments are kept: tables, lists of names and values, servers of tools.
_WHOLE = frozenset({"mcp", "table", "dict", "NestedDict"})


def holds_secret(name: str, field: Mapping[str, Json]) -> bool:
    """Whether a field of a template has a value that must not be shown; the name of a variable is none."""
    value = field.get("value")
    if not value or field.get("load_from_db"):
        return False
    kind = field.get("type")
    if field.get("password") or kind == "SecretStr":
        return True
    if kind in _WHOLE:
        return _IN_A_HEADER.search(_text_of(value)) is not None or _has_environment(value)
    if not isinstance(value, str) or kind not in _TEXT or field.get("multiline"):
        return False
    named = _NAMED.search(name) is not None and _HARMLESS.search(name) is None
    return named or _IN_A_URL.search(value) is not None


def _text_of(value: Json) -> str:
    return orjson.dumps(value).decode()


def _has_environment(value: Json) -> bool:
    """Whether there is a filled `env` or `headers` somewhere in it, as servers of tools have them."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.get("env") or one.get("headers"):
                return True
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
    return False
