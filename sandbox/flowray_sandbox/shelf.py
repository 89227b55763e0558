"""What lies in the image's folder of packages: which distribution owns which file, and which needs which others."""

from __future__ import annotations

import contextlib
import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

PACKAGES = Path("/packages")
_CACHE, _METADATA = "__pycache__", (".dist-info", ".egg-info")

Owners = frozenset[str]
_Files = list[tuple[tuple[str, ...], str]]


@dataclass(frozen=True)
class Shelf:
    """`entries` are paths below the folder, each with its owners; `needs` what each distribution depends on."""

    root: Path
    entries: Mapping[str, Owners]
    needs: Mapping[str, tuple[Requirement, ...]]

    @property
    def names(self) -> dict[str, Owners]:
        """The import names of the entries: `a.b` for `a/b` and for `a/b.py`."""
        return {_module(path): owners for path, owners in self.entries.items() if _CACHE not in path}

    def closure(self, wanted: Iterable[str]) -> frozenset[str]:
        """The distributions and all that they need."""
        found: set[tuple[str, str]] = set()
        waiting = [(name, "") for name in wanted]
        while waiting:
            one = waiting.pop()
            if one not in found and one[0] in self.needs:
                found.add(one)
                waiting += _asked(self.needs[one[0]], extra=one[1])
        return frozenset(name for name, _ in found)

    def owners(self, modules: Iterable[str]) -> frozenset[str]:
        """The distributions that these modules come from."""
        names = self.names
        return frozenset(owner for module in modules for owner in _nearest(names, module))


def shelf(root: Path = PACKAGES) -> Shelf:
    """Read the folder. Seconds are spent elsewhere: this takes a tenth of one."""
    files: _Files = []
    needs: dict[str, tuple[Requirement, ...]] = {}
    for one in distributions(path=[str(root)]):
        name = normal(one.name)
        needs[name] = tuple(_needs(one))
        files += [(tuple(path.split("/")), name) for path in _files(one)]
    return Shelf(root, dict(_entries(root, (), files)), needs)


def normal(name: str) -> str:
    """A distribution's name as packaging tools normalise it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _needs(one: Distribution) -> Iterator[Requirement]:
    for line in one.requires or ():
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(line)


def _asked(needs: Iterable[Requirement], *, extra: str) -> Iterator[tuple[str, str]]:
    """What is needed here, by the distribution itself or by an extra of it: names, each with each extra asked of it."""
    for one in needs:
        if one.marker is None or one.marker.evaluate({"extra": extra}):
            yield from ((normal(one.name), asked) for asked in ("", *one.extras))


def _files(one: Distribution) -> Iterator[str]:
    record = one.read_text("RECORD") or ""
    for row in csv.reader(record.splitlines()):
        if row and not row[0].startswith(("/", "..")):
            yield row[0]


def _entries(root: Path, above: tuple[str, ...], files: _Files) -> Iterator[tuple[str, Owners]]:
    """The largest parts of the tree that have one owner; a folder that several share is taken apart."""
    parts: dict[str, _Files] = defaultdict(list)
    for path, owner in files:
        parts[path[len(above)]].append((path, owner))
    parts.pop(_CACHE, None)  # looked for on the disk: not every installer records it
    for name, within in parts.items():
        here = (*above, name)
        owners = frozenset(owner for _, owner in within)
        is_folder = any(len(path) > len(here) for path, _ in within)
        if is_folder and len(owners) > 1:
            yield from _entries(root, here, within)
        elif not name.endswith(_METADATA):
            yield "/".join(here), owners
    for file in root.joinpath(*above, _CACHE).glob("*.pyc"):
        # A compiled module is as readable as its source.
        source = parts.get(f"{file.name.partition('.')[0]}.py", ())
        yield "/".join((*above, _CACHE, file.name)), frozenset(owner for _, owner in source)


def _module(path: str) -> str:
    folder, _, file = path.rpartition("/")
    stem = file.partition(".")[0]
    return f"{folder.replace('/', '.')}.{stem}" if folder else stem


def _nearest(names: Mapping[str, Owners], module: str) -> Owners:
    while module:
        if module in names:
            return names[module]
        module = module.rpartition(".")[0]
    return frozenset()
