"""What is different between two answers, in words that a table can hold; and the table of what may be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
_ROW = re.compile(r"^\| `(?P<request>[^`]+)` \| `(?P<what>[^`]+)` \| (?P<why>.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Difference:
    """One difference of one request's answers."""

    request: str
    what: str


@dataclass
class Row:
    """A line of the table: patterns for requests and for what differs in them."""

    request: str
    what: str
    sometimes: bool = False
    used: bool = field(default=False)

    def covers(self, found: Difference) -> bool:
        covers = fnmatchcase(found.request, self.request) and fnmatchcase(found.what, _plain(self.what))
        self.used = self.used or covers
        return covers


def listed() -> list[Row]:
    """The table in the documentation."""
    found = _ROW.finditer(PAGE.read_text())
    return [Row(row["request"], row["what"], sometimes=row["why"].startswith("Sometimes")) for row in found]


def differing(
    request: str, theirs: Any, ours: Any, *, answers: tuple[httpx.Response, httpx.Response]
) -> list[Difference]:
    """All that differs between Langflow's answer and this service's."""
    found = [*_heads(*answers)]
    if not (answers[0].is_error or answers[1].is_error):
        found += _bodies("", theirs, ours)
    elif answers[1].is_error and not answers[1].json().get("detail"):
        found.append("no detail")
    return [Difference(request, what) for what in dict.fromkeys(found)]


def _heads(theirs: httpx.Response, ours: httpx.Response) -> Iterator[str]:
    if theirs.status_code != ours.status_code:
        yield f"status {theirs.status_code} here {ours.status_code}"
    if ours.is_error or theirs.is_error or ours.status_code == HTTPStatus.NO_CONTENT:
        return
    for name in ("content-type", "location"):
        said = [one.headers.get(name, "").partition(";")[0] for one in (theirs, ours)]
        if said[0] != said[1]:
            yield f"{name} {said[0]} here {said[1]}"
    saved = [one.headers.get("content-disposition", "").partition(";")[0] for one in (theirs, ours)]
    if saved[0] != saved[1]:
        yield f"content-disposition {saved[0]} here {saved[1]}"


def _bodies(place: str, theirs: Any, ours: Any) -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(ours, dict):
        yield from _objects(place, theirs, ours)
    elif isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            yield f"length of {place or 'the list'}"
        for one, other in zip(theirs, ours, strict=False):
            yield from _bodies(f"{place}[]", one, other)
    elif theirs != ours:
        yield f"value of {place or 'the body'}"


def _objects(place: str, theirs: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    for name in theirs.keys() | ours.keys():
        inner = f"{place}.{name}".lstrip(".")
        if name not in ours:
            yield f"without {inner}"
        elif name not in theirs:
            yield f"with {inner}"
        else:
            yield from _bodies(inner, theirs[name], ours[name])


def _plain(pattern: str) -> str:
    """Brackets in the table are those of lists, not of fnmatch's sets."""
    return pattern.replace("[]", "[[]]")
