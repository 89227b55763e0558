"""A Haystack pipeline's YAML in outline: its components with their classes, and the ends of its wires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

# Of pipelines in Haystack's own documentation the longest has 10 KB. What is read here is read while somebody waits.
MOST_CHARS = 128 * 1024
_MOST_PARTS = 20_000
_DEEPEST = 100
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadPipelineError(ValueError):
    """The text is no pipeline; the message says what of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """`components` are the modules of their classes by name, empty where none is told.

    `inner_modules` are those of classes within parameters; `ends` the components that wires name.
    """

    components: Mapping[str, str]
    inner_modules: frozenset[str]
    ends: tuple[str, ...]

    @property
    def modules(self) -> frozenset[str]:
        """The modules without which the pipeline cannot be loaded."""
        return frozenset(filter(None, self.components.values()))


class _Tuples(_Loader):  # type: ignore[misc]  # C or Python, whichever is there
    """Reads what Haystack writes: plain YAML, and tuples."""


_Tuples.add_constructor("tag:yaml.org,2002:python/tuple", lambda loader, node: tuple(loader.construct_sequence(node)))


@lru_cache(maxsize=128)
def outline_of(text: str) -> Outline:
    """Return the outline of a pipeline; nothing that it names is looked for."""
    document = _read(text)
    components = document.get("components") if isinstance(document, dict) else None
    if not isinstance(components, dict) or not components:
        raise BadPipelineError("its pipeline has no `components`; give what `Pipeline.dumps()` writes.")
    wires = document.get("connections") or []
    if not isinstance(wires, list) or not all(isinstance(wire, dict) for wire in wires):
        raise BadPipelineError("its pipeline's `connections` are not a list of `sender` and `receiver`.")
    parts = [part.get("init_parameters") for part in components.values() if isinstance(part, dict)]
    return Outline(
        components={str(name): _module(part) for name, part in components.items()},
        inner_modules=frozenset(filter(None, map(_module, _objects(parts)))),
        ends=tuple(dict.fromkeys(end for wire in wires for end in _ends(wire))),
    )


def _read(text: str) -> Any:
    if not text.strip():
        raise BadPipelineError("it has no pipeline; give what `Pipeline.dumps()` writes.")
    if len(text) > MOST_CHARS:
        raise BadPipelineError(f"its pipeline is longer than {MOST_CHARS // 1024} KiB.")
    try:
        _bound(text)
        return yaml.load(text, Loader=_Tuples)  # noqa: S506 - the safe loader, with tuples
    except BadPipelineError:
        raise
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        problem = getattr(cause, "problem", None) or "it cannot be read"
        raise BadPipelineError(f"its pipeline is no YAML: {str(problem)[:200]}{where}.") from cause
    except (RecursionError, ValueError, TypeError) as cause:
        raise BadPipelineError("its pipeline is no YAML that can be read here.") from cause


def _bound(text: str) -> None:
    """Refuse what is long to read, or nested deeply: the loader calls itself for each level, in C, and would crash."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if count > _MOST_PARTS:
            raise BadPipelineError(f"its pipeline has more than {_MOST_PARTS:,} parts.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise BadPipelineError(f"its pipeline is nested more than {_DEEPEST} levels deep.")


def _module(part: Any) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    module = kind.rpartition(".")[0] if isinstance(kind, str) else ""
    return module if all(name.isidentifier() for name in module.split(".")) else ""


def _objects(parts: list[Any]) -> Iterator[dict[Any, Any]]:
    """Yield all mappings within; what is referred to several times is seen once, and so much of it."""
    waiting, seen = list(parts), set[int]()
    while waiting and len(seen) < _MOST_PARTS:
        part = waiting.pop()
        if id(part) in seen or not isinstance(part, dict | list | tuple):
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            yield part
        waiting += part.values() if isinstance(part, dict) else part


def _ends(wire: Mapping[Any, Any]) -> Iterator[str]:
    for name in ("sender", "receiver"):
        end = wire.get(name)
        if not isinstance(end, str):
            raise BadPipelineError(f"a wire of its pipeline has no `{name}`.")
        yield end.partition(".")[0]
