"""Which modules a component's source imports, read from its text and never by running it."""

from __future__ import annotations

import ast
import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from flowray.component.syntax import BrokenSourceError, parsed
from flowray.flow.types import Node

# Parsing takes up to 2 ms per KB. The longest component that lfx ships has 90 KB; what is beyond goes unparsed, and the
# sandbox finds out.
_MOST_CHARS_PER_FLOW = 512 * 1024
_MOST_KNOWN = 2_048


@dataclass(frozen=True, kw_only=True, slots=True)
class Imports:
    """Modules by their whole dotted names: those without which the component cannot be loaded, and all others.

    lfx carries out the import statements at the top of a source and in the bodies of its classes; those in functions
    run when the function does, and those in a `try` or an `if` at the top never. A source that is too long is not read:
    then these are not `whole`.
    """

    needed: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()
    whole: bool = True

    @property
    def all(self) -> frozenset[str]:
        """All of them."""
        return self.needed | self.later


UNREAD = Imports(whole=False)
_known: OrderedDict[bytes, Imports] = OrderedDict()


def sources_read(nodes: Iterable[Node]) -> frozenset[str]:
    """Return the digests of the sources that are parsed of a flow: in order, until they are too long together."""
    lengths: dict[str, int] = {}
    for node in nodes:
        if node.code is not None and node.code_digest is not None:
            lengths.setdefault(node.code_digest, len(node.code))
    sums = zip(lengths, accumulate(lengths.values()), strict=True)
    return frozenset(digest for digest, chars in sums if chars <= _MOST_CHARS_PER_FLOW)


def imported_by(source: str) -> Imports:
    """Return the modules of a source's import statements; none when it is no Python."""
    if len(source) > _MOST_CHARS_PER_FLOW:
        return UNREAD
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()  # known without keeping the source
    found = _known.get(digest)
    if found is None:
        found = _known[digest] = _read(source)
        if len(_known) > _MOST_KNOWN:
            _known.popitem(last=False)
    return found


def _read(source: str) -> Imports:
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
