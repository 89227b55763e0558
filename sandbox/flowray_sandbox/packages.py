"""The wall around packages: what a run may import beside what the zygote has imported, and nothing else.

Landlock holds it, by a rule for each part of the image's folder; before that, a finder at the front of the import
system says it in words. Code that takes the finder away meets the kernel.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

from flowray_sandbox.batch import Batch, Place, buffer
from flowray_sandbox.descriptors import ALLOWED
from flowray_sandbox.landlock import DESCRIPTOR, READ_FILE, RULE
from flowray_sandbox.shelf import Owners, normal, shelf

_PATH = 1
# All of the default image. Where nobody sets a limit, a process may have 1,024 descriptors.
_OPEN_MOST = 800


class Packages:
    """What all runs may read becomes a rule set of each child while it is being parked; the spec adds to it.

    `always` are distributions that need no declaration. What the zygote has imported needs none either, with all that
    it may still import. Where nothing else is in the image, there is no wall and no cost.
    """

    def __init__(self, *, always: Iterable[str], lowered: Collection[str]) -> None:
        self._shelf = found = shelf()
        self._always = found.closure({*map(normal, always), *found.owners(sys.modules)})
        self._others = frozenset(found.needs) - self._always
        self._finder = _Undeclared(found.names)
        self.enforced = bool(self._others) and "landlock" not in lowered
        by_owner: dict[Owners, list[str]] = {}
        for path, owners in found.entries.items():
            if not owners & self._always:
                by_owner.setdefault(owners, []).append(f"{found.root}/{path}")
        self._more = {owners: _calls(_allow, paths) for owners, paths in by_owner.items()}
        self._restrict, self._drop = _calls(_restrict), _calls(_drop)

    def prepare(self, batch: Batch) -> None:
        """Append to a child's list the calls that make its rule set, and leave that at a descriptor of its own."""
        if self.enforced:
            attributes, made = buffer(struct.pack("=QQQ", READ_FILE, 0, 0)), Place(buffer(4))
            batch.add("landlock_create_ruleset", attributes, 8, 0, store=made)
            batch.add("dup3", made, ALLOWED, 0)
            common = list(self._common())
            # A mount of the child's own: only the child can open it.
            _allow(batch, ["/tmp", *common[_OPEN_MOST:]])  # noqa: S108
            _allow_open(batch, common[:_OPEN_MOST])

    def apply(self, spec: Mapping[str, Any]) -> None:
        """Hold the calling child to the packages of its spec, if that names any."""
        named = spec.get("packages")
        declared = self._others if named is None else {normal(str(name)) for name in named}
        if self._others <= declared:
            if self.enforced:
                _make(self._drop)
            return
        self._finder.stand_before(self._always | declared)
        if self.enforced:
            for owners, calls in self._more.items():
                if owners & declared:
                    _make(calls)
            _make(self._restrict)

    def _common(self) -> Iterator[str]:
        """All that is no package, what says of packages which they are, and those that every run may read."""
        root = self._shelf.root
        yield from (f"/{name}" for name in os.listdir("/") if f"/{name}" not in ("/tmp", str(root)))  # noqa: PTH208, S108
        yield from map(str, root.glob("*.dist-info"))
        yield from (f"{root}/{path}" for path, owners in self._shelf.entries.items() if owners & self._always)


class _Undeclared(MetaPathFinder):
    """Says of a module that its package is not declared; knows nothing of all others."""

    def __init__(self, names: Mapping[str, Owners]) -> None:
        self._names = names
        self._allowed: frozenset[str] = frozenset()

    def stand_before(self, allowed: frozenset[str]) -> None:
        """Be asked before all other finders."""
        self._allowed = allowed
        sys.meta_path.insert(0, self)

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """Refuse, or leave it to the others."""
        owners = self._names.get(fullname)
        if owners is None or owners & self._allowed:
            return None
        package = min(owners)
        raise ModuleNotFoundError(
            f"No module named {fullname!r}: its package `{package}` is not declared. "
            "Import it at the top of the component, so that publishing the flow declares it.",
            name=fullname,
        )


Calls = tuple[Batch, Callable[[], int]]


def _calls(write: Callable[..., None], *arguments: Any) -> Calls:
    batch = Batch()
    write(batch, *arguments)
    return batch, batch.sealed()


def _make(calls: Calls) -> None:
    batch, make = calls
    outcome = make()
    if outcome:
        raise batch.failure(outcome)


def _restrict(batch: Batch) -> None:
    batch.add("landlock_restrict_self", ALLOWED, 0)
    _drop(batch)


def _drop(batch: Batch) -> None:
    batch.add("close", ALLOWED)


def _allow_open(batch: Batch, paths: Iterable[str]) -> None:
    """Paths that are opened here, once: a child that opened each for itself would spend a tenth of a small run on it.

    Like all descriptors of the zygote's, they are closed in a child before it says READY.
    """
    for path in paths:
        rule = buffer(RULE.pack(READ_FILE, os.open(path, os.O_PATH | os.O_CLOEXEC)))
        batch.add("landlock_add_rule", ALLOWED, _PATH, rule, 0)


def _allow(batch: Batch, paths: Iterable[str]) -> None:
    # One rule, written over and over: each page that a child writes to is a page to copy.
    rule = buffer(RULE.pack(READ_FILE, -1))
    opened = Place(rule, RULE.size - DESCRIPTOR)
    for path in paths:
        batch.add("openat", -1, buffer(path.encode() + b"\0"), os.O_PATH | os.O_CLOEXEC, store=opened)
        batch.add("landlock_add_rule", ALLOWED, _PATH, rule, 0)
        batch.add("close", opened)
