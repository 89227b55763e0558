"""Component classes by the full SHA-256 of their source: compiled in the zygote when lfx itself ships the source.

Most of what a small run costs lfx is compiling and executing component source again. A class in here was made by lfx's
own code from the very same text; runs only make instances of it, and each run has its own copy of the whole process.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import orjson
from lfx.custom.eval import eval_custom_component_code
from lfx.custom.validate import extract_class_name
from lfx.interface.initialize import loading

_known: dict[bytes, dict[str | None, type]] = {}
_lfx: Any = loading


def component_class(code: str, class_name: str | None = None) -> type:
    """What lfx's `eval_custom_component_code` gives, made anew only for unknown source."""
    known = _known.get(_digest(code))
    if known is None:
        return eval_custom_component_code(code, class_name)
    # As in lfx: a name that the source does not define means its first component.
    return known.get(class_name) or known[None]


def is_known(code: str) -> bool:
    """Whether this source is one that was compiled in the zygote."""
    return _digest(code) in _known


def learn(code: str) -> None:
    """Compile the source now and keep its classes."""
    names = [node.name for node in ast.parse(code).body if isinstance(node, ast.ClassDef)]
    components = [name for name in names if extract_class_name(code, name) == name]
    made: dict[str | None, type] = {name: eval_custom_component_code(code, name) for name in components}
    made[None] = made[extract_class_name(code)]
    _known[_digest(code)] = made


def shipped() -> Iterator[tuple[str, str]]:
    """The sources that lfx ships, with the names of their component types."""
    index = orjson.loads(files("lfx").joinpath("_assets", "component_index.json").read_bytes())
    for _, components in index["entries"]:
        for name, component in components.items():
            code = (component["template"].get("code") or {}).get("value")
            if isinstance(code, str):
                yield name, code


def install() -> None:
    """Let lfx take its component classes from here."""
    _lfx.eval_custom_component_code = component_class


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="surrogatepass")).digest()
