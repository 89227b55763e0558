"""Which modules a component's source imports, read from its text and never by running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from flowray.component.syntax import BrokenSourceError, parsed


@dataclass(frozen=True, kw_only=True, slots=True)
class Imports:
    """Modules by their whole dotted names: those without which the component cannot be loaded, and all others.

    lfx carries out the import statements at the top of a source and in the bodies of its classes; those in functions
    run when the function does, and those in a `try` or an `if` at the top never.
    """

    needed: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()

    @property
    def all(self) -> frozenset[str]:
        """All of them."""
        return self.needed | self.later


@lru_cache(maxsize=2048)
def imported_by(source: str) -> Imports:
    """Return the modules of a source's import statements; none when it is no Python."""
    try:
        tree = parsed(source)
    except BrokenSourceError:
        return Imports()
    every = frozenset(module for node in ast.walk(tree) for module in _modules(node))
    needed = frozenset(module for node in _loaded(tree) for module in _modules(node))
    return Imports(needed=needed, later=every - needed)


def _loaded(whole: ast.Module | ast.ClassDef) -> Iterator[ast.stmt]:
    for statement in whole.body:
        if isinstance(statement, ast.ClassDef):
            yield from _loaded(statement)
        else:
            yield statement


def _modules(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=str(module), level=0):
            yield module
