"""LlamaIndex engines and workflows, as Python that builds one: read as text, as a component's source is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from flowray.component.adapters.adapter import Problem
from flowray.component.adapters.shape import Shape
from flowray.component.imports import Imports, imported_by
from flowray.component.syntax import BrokenSourceError, parsed
from flowray.flow.types import Node

_MOST_CHARS = 128 * 1024
_BUILD = "build"


@dataclass(frozen=True)
class LlamaIndex:
    """The source defines `build`, which returns what answers."""

    shape: Shape

    def imports(self, node: Node) -> Imports:
        """Return the modules of its import statements; the core is needed in any case."""
        read = imported_by(self.shape.definition_of(node))
        needed = read.needed | {f"{self.shape.framework}.core"}
        return Imports(needed=needed, later=read.later - needed, whole=read.whole)

    def problems(self, node: Node) -> Iterator[Problem]:
        """Yield why the source cannot build anything."""
        message = _problem_of(self.shape.definition_of(node))
        if message:
            yield Problem(field=self.shape.definition, message=message)


def _problem_of(source: str) -> str:
    if not source.strip():
        return "it has no source; write one that defines `build()`."
    if len(source) > _MOST_CHARS:
        return f"its source is longer than {_MOST_CHARS // 1024} KiB."
    try:
        tree = parsed(source)
    except BrokenSourceError as cause:
        return f"its source is broken: {cause}"
    return "" if _BUILD in _defined(tree) else "its source defines no function `build`."


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names that exist once the source has run, as far as its top level says."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (one.asname or one.name for one in names)
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
            case _:
                continue
