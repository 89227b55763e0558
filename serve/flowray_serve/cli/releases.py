"""Which releases of lfx are on this machine: the installed one, and those in environment images."""

from __future__ import annotations

from pathlib import Path

import orjson

from flowray.component.index import find_index
from flowray.component.release import Release, read_release
from flowray.errors import InvalidRequestError, NotFoundError
from flowray.sandbox.image import default_root


def release_of(name: str, root: Path | None = None) -> Release:
    """The release of this version, or of the index at this path; without a name, the installed one."""
    if not name:
        return read_release(find_index())
    if Path(name).is_file():
        return read_release(Path(name))
    if Path(name).suffix == ".json":
        raise InvalidRequestError(f"Cannot read {name}: there is no such file.")
    there = {_version(path): path for path in _indexes(root or default_root())}
    if name not in there:
        known = ", ".join(sorted(there)) or "none"
        raise NotFoundError(
            f"lfx {name} is not on this machine; there are: {known}. Name a component_index.json of it."
        )
    return read_release(there[name])


def _indexes(root: Path) -> list[Path]:
    found = [find_index()]
    return [*found, *sorted(root.glob("*/site-packages/lfx/_assets/component_index.json"))]


def _version(path: Path) -> str:
    return str(orjson.loads(path.read_bytes()).get("version"))
