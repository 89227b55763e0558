"""Frozen data to JSON and back, by its type hints: what a later version added is passed over."""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from flowray.errors import FlowRayError

_T = TypeVar("_T")
_Reader = Callable[[Any], Any]


class StoredFormatError(FlowRayError):
    """A stored record cannot be read by this version."""

    code = "stored_format"


def typed(kind: type[_T], plain: Mapping[str, Any], **given: Any) -> _T:
    """The `kind` that this JSON object says; `given` are fields that are known already."""
    try:
        values = {
            name: read(plain[name])
            for name, read in _readers(cast("Hashable", kind))
            if name in plain and name not in given
        }
        return kind(**values, **given)
    except (TypeError, KeyError, ValueError, AttributeError) as cause:
        raise StoredFormatError(f"A stored {kind.__name__} cannot be read: {cause}") from cause


def as_plain(value: Any, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """A dataclass as JSON's own types; fields that have their default are left out."""
    plain: dict[str, Any] = {}
    for field in fields(value):
        held = getattr(value, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if field.name not in without and (default is MISSING or held != default):
            plain[field.name] = _plain(held)
    return plain


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return as_plain(value)
    if isinstance(value, Mapping):
        return {key: _plain(held) for key, held in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(held) for held in value)
    if isinstance(value, tuple | list):
        return [_plain(held) for held in value]
    return value


@lru_cache(maxsize=256)
def _readers(kind: Any) -> tuple[tuple[str, _Reader], ...]:
    hints = get_type_hints(kind)
    return tuple((field.name, _reader(hints[field.name])) for field in fields(kind))


def _reader(hint: Any) -> _Reader:
    hint = getattr(hint, "__supertype__", hint)
    origin, inside = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return lambda plain: typed(hint, plain)  # type: ignore[arg-type] # a class, as is_dataclass cannot say
    if origin in (Union, types.UnionType):
        return _optional(inside)
    if origin in (tuple, frozenset):
        read = _reader(inside[0])
        return lambda plain: origin(read(one) for one in plain)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        read = _reader(inside[1])
        return lambda plain: {key: read(one) for key, one in plain.items()}
    return lambda plain: plain


def _optional(inside: tuple[Any, ...]) -> _Reader:
    """A union is read as its first member that is more than JSON; there is at most one such in what is stored."""
    shaped = [one for one in inside if one is not type(None) and (is_dataclass(one) or get_origin(one) is not None)]
    if not shaped:
        return lambda plain: plain
    read = _reader(shaped[0])
    return lambda plain: None if plain is None else read(plain)
