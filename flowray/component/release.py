"""The components of one release of lfx, by every name that a node may know them by: its index, read as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from pathlib import Path

from flowray.component.index import INDEX, read_index
from flowray.flow.shape import a_list, a_text, an_object
from flowray.flow.types import Json

Raw = dict[str, Json]
# The names of before that no longer stand in the components themselves; as lfx has them.
_FORMERLY = {"Prompt": "Prompt Template", "parser": "ParserComponent"}
_OF_A_BUNDLE = re.compile(r"^ext:[^:]+:(?P<name>[^@]+)@.+$")
_ENDING = "Component"


@dataclass(frozen=True, kw_only=True)
class Release:
    """What lfx ships in a version."""

    version: str
    components: Mapping[str, Raw] = _field(repr=False)


def read_release(path: Path) -> Release:
    """The release whose index this is."""
    index = read_index(path)
    entries = a_list(index.get("entries"), INDEX, "entries")
    named = [
        (name, an_object(component, INDEX, name))
        for entry in entries
        if isinstance(entry, list)
        for category in entry[1:2]
        for name, component in an_object(category, INDEX, "entries").items()
    ]
    return Release(version=a_text(index.get("version"), INDEX, "version"), components=by_all_names(named))


def by_all_names(named: Iterable[tuple[str, Raw]]) -> dict[str, Raw]:
    """The components by their own names, then by what else identifies them, then by what they are shown as."""
    known = list(named)
    found = dict(known)
    for names_of in (_identities, _labels):
        for name, component in known:
            for alias in names_of(name, component):
                found.setdefault(alias, component)
    return found


def _identities(name: str, component: Raw) -> Iterator[str]:
    yield from (old for old, new in _FORMERLY.items() if new == name)
    if bundled := _OF_A_BUNDLE.match(name):
        yield bundled["name"]
        yield from _without_ending(bundled["name"])
    if isinstance(component.get("name"), str) and component["name"]:
        yield component["name"]


def _labels(_: str, component: Raw) -> Iterator[str]:
    if isinstance(component.get("display_name"), str) and component["display_name"]:
        yield component["display_name"]
    template = component.get("template")
    kind = template.get("_type") if isinstance(template, dict) else None
    if isinstance(kind, str):
        yield from _without_ending(kind)


def _without_ending(name: str) -> Iterator[str]:
    if name.endswith(_ENDING) and name != _ENDING:
        yield name.removesuffix(_ENDING)
