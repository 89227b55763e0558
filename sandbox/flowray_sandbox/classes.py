"""Component classes by the full SHA-256 of their source: compiled in the zygote when lfx itself ships the source.

Most of what a small run costs lfx is compiling and executing component source again. A class in here was made by lfx's
own code from the very same text; runs only make instances of it, and each run has its own copy of the whole process.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import orjson
from lfx.custom import validate
from lfx.custom.eval import eval_custom_component_code
from lfx.custom.validate import extract_class_name
from lfx.interface.initialize import loading

_known: dict[bytes, dict[str | None, type]] = {}
_shipped: set[bytes] = set()
_lfx: Any = loading
_validate: Any = validate
_original_returns: Callable[[list[type]], dict[Any, Any]] = _validate.snapshot_trusted_class_method_returns
# By the bases' ids, which the bases kept here make last.
_returns: dict[tuple[int, ...], tuple[list[type], dict[Any, Any]]] = {}


def component_class(code: str, class_name: str | None = None) -> type:
    """What lfx's `eval_custom_component_code` gives, made anew only for unknown source."""
    digest = _digest(code)
    if digest in _shipped:
        _shipped.remove(digest)
        learn_if_possible(code)
    known = _known.get(digest)
    if known is None:
        return eval_custom_component_code(code, class_name)
    # As in lfx: a name that the source does not define means its first component.
    return known.get(class_name) or known[None]


def is_known(code: str) -> bool:
    """Whether lfx ships this source."""
    digest = _digest(code)
    return digest in _known or digest in _shipped


def learn(code: str) -> None:
    """Compile the source now and keep its classes."""
    names = [node.name for node in ast.parse(code).body if isinstance(node, ast.ClassDef)]
    components = [name for name in names if extract_class_name(code, name) == name]
    made: dict[str | None, type] = {name: eval_custom_component_code(code, name) for name in components}
    made[None] = made[extract_class_name(code)]
    _known[_digest(code)] = made


def learn_if_possible(code: str) -> None:
    """As `learn`; what cannot be compiled says so in the run that needs it."""
    with contextlib.suppress(Exception):
        learn(code)


def note_shipped() -> None:
    """Know what lfx ships, and compile each only when it is asked for."""
    _shipped.update(_digest(code) for _, code in shipped())


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
    _validate.snapshot_trusted_class_method_returns = _returns_of


def _returns_of(bases: list[type]) -> dict[Any, Any]:
    """What the methods of imported bases return: lfx looks it up anew for each source, and only reads it."""
    key = tuple(map(id, bases))
    if key not in _returns:
        _returns[key] = (bases, _original_returns(bases))
    return _returns[key][1]


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode(errors="surrogatepass")).digest()
