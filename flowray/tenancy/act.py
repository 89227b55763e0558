"""Who did what to which object, from where, with which result; and the chain that shows when a record was changed.

Each record says the hash of the one before it, so none can be changed, taken out or moved without all later ones
telling. A mark over the chain's end, made with a master key, shows when the end was cut off or all of it made anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

START = "0" * 64
SERVICE = "SERVICE"
"""Whose chain has what operators do; no tenant can have this id."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """Something that was done or refused. `action` is the permission it took, `route` what was asked."""

    at: float
    tenant: str
    who: str
    key: str
    action: str
    route: str
    object: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    status: int = 0
    result: str = ""


@dataclass(frozen=True)
class ChainEnd:
    """The number and the hash of a chain's last record."""

    number: int = 0
    hash: str = START


def linked(acts: Sequence[Act], end: ChainEnd) -> tuple[Sequence[bytes], ChainEnd]:
    """The acts as records that follow a chain's end, one line each; and the new end."""
    lines: list[bytes] = []
    for act in acts:
        record = {"n": end.number + 1, "before": end.hash, **asdict(act)}
        end = ChainEnd(end.number + 1, _hash(record))
        lines.append(orjson.dumps({**record, "hash": end.hash}))
    return lines, end


def end_of(line: bytes) -> ChainEnd:
    """The end of a chain whose last record this is."""
    record = orjson.loads(line)
    return ChainEnd(int(record["n"]), str(record["hash"]))


def faults(lines: Iterable[bytes], *, end: ChainEnd | None = None) -> Sequence[str]:
    """What is wrong with a chain, from its first record on; nothing, when it is whole.

    `end` is how far it reached when its mark was made.
    """
    found: list[str] = []
    last = ChainEnd()
    at_mark = START if end is None or end.number == 0 else ""
    for line in lines:
        record = _read(line)
        number = int(record.get("n", 0))
        found += _between(last, record, number)
        last = ChainEnd(number, str(record.get("hash")))
        if end is not None and number == end.number:
            at_mark = last.hash
    if end is not None and at_mark != end.hash:
        found.append(_at_end(last, end))
    return found


def _between(last: ChainEnd, record: Mapping[str, Any], number: int) -> Sequence[str]:
    claimed = {name: value for name, value in record.items() if name != "hash"}
    if _hash(claimed) != record.get("hash"):
        return [f"Record {number} was changed."]
    if number > last.number + 1:
        missing = f"{last.number + 1}" if number == last.number + 2 else f"{last.number + 1} to {number - 1}"
        return [f"Record {missing} is missing."]
    if number <= last.number:
        return [f"Record {number} is out of order, after {last.number}."]
    return [] if record.get("before") == last.hash else [f"Record {number} does not follow record {last.number}."]


def _at_end(last: ChainEnd, end: ChainEnd) -> str:
    if last.number < end.number:
        return f"The chain ends at record {last.number}; it has reached {end.number}."
    return f"Record {end.number} is not the one that the chain's mark was made for."


def _read(line: bytes) -> Mapping[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}


def _hash(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(record, option=orjson.OPT_SORT_KEYS)).hexdigest()
