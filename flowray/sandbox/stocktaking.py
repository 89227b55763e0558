"""Takes stock of an environment image: read from the metadata in its folder, without importing anything of it."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import Distribution, distributions

from packaging.requirements import InvalidRequirement, Requirement

from flowray.component.stock import Stock
from flowray.sandbox.image import Image, default_packages

_IMPORTABLE = (".py", ".so", ".pyc")
_INIT = "__init__"
_NO_MODULES = (".dist-info", ".egg-info", ".data", "__pycache__")
_Files = list[tuple[tuple[str, ...], str]]
_Required = Mapping[str, tuple[Requirement, ...]]


def take_stock(image: Image) -> Stock:
    """Return what this image has. Takes some tenths of a second."""
    found = {normal(one.name): one for one in distributions(path=[str(image.site_packages)])}
    required = {name: tuple(_requirements(one)) for name, one in found.items()}
    version = image.python.name.removeprefix("python")
    needs = {name: frozenset(_needs(name, "", required, version)) & found.keys() for name in found}
    files = [(path, name) for name, one in found.items() for path in _modules(one)]
    return Stock(
        image=image.name,
        digest=image.digest,
        names=dict(_names((), files)),
        standard=frozenset(_standard(image, version)),
        needs=needs,
        always=_closure(map(normal, default_packages()), needs),
    )


def normal(name: str) -> str:
    """Return a distribution's name as packaging tools normalise it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _requirements(one: Distribution) -> Iterator[Requirement]:
    for line in one.requires or ():
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(line)


def _needs(name: str, extra: str, required: _Required, version: str) -> Iterator[str]:
    """Yield what a distribution needs directly, and what the extras need that it asks of others."""
    here = {"python_version": version, "python_full_version": f"{version}.0", "extra": extra}
    for one in required.get(name, ()):
        if one.marker is not None and not one.marker.evaluate(here):
            continue
        other = normal(one.name)
        if other == name:
            continue
        yield other
        for asked in one.extras:
            yield from _needs(other, asked, required, version)


def _closure(wanted: Iterable[str], needs: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        one = waiting.pop()
        if one not in found and one in needs:
            found.add(one)
            waiting += needs[one]
    return frozenset(found)


def _modules(one: Distribution) -> Iterator[tuple[str, ...]]:
    """Yield the distribution's modules as parts of their names."""
    for file in one.files or ():
        *folders, last = file.parts
        stem, dot, suffix = last.partition(".")
        if not dot or f".{suffix.rpartition('.')[2]}" not in _IMPORTABLE or ".." in folders:
            continue
        if not any(folder.endswith(_NO_MODULES) for folder in folders):
            yield (*folders, stem)


def _names(above: tuple[str, ...], files: _Files) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the shortest names with one owner; what several distributions share is taken apart."""
    parts: dict[str, _Files] = defaultdict(list)
    for path, owner in files:
        parts[path[len(above)]].append((path, owner))
    for part, within in parts.items():
        here = (*above, part)
        owners = frozenset(owner for _, owner in within)
        inner = [(path, owner) for path, owner in within if len(path) > len(here)]
        if len(owners) > 1 and inner:
            yield from _names(here, inner)
        elif part != _INIT:
            yield ".".join(here), owners


def _standard(image: Image, version: str) -> Iterator[str]:
    """Yield the modules of the image's own Python, which may be another one than this."""
    yield from sys.builtin_module_names
    folder = image.base_prefix / "lib" / f"python{version}"
    for place in (folder, folder / "lib-dynload"):
        for entry in place.iterdir() if place.is_dir() else ():
            name = entry.name.partition(".")[0]
            if name.isidentifier() and (entry.is_dir() or entry.suffix in _IMPORTABLE):
                yield name
