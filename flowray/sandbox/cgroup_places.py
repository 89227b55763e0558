"""Where this process may make control groups: below its own, in the tree of version 2 or in those of version 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc/self")
NEEDED, WANTED = frozenset({"memory", "pids"}), ("memory", "pids", "cpu")
# Where the processes of a delegated group go: with controllers for its parts, a group can hold none itself.
SERVICE = "flowray-service"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder for each controller: the same one in version 2."""

    version: int
    folders: Mapping[str, Path]


def places(proc: Path = _PROC) -> Iterator[Place]:
    """The places that have the controllers needed; whether they can be written to is found out by writing."""
    own = _own_groups(proc)
    mounts = list(_mounts(proc))
    for kind, _, point, root in mounts:
        if kind == "cgroup2" and "" in own:
            folder = _below(point, root, own[""])
            folder = folder.parent if folder.name == SERVICE else folder
            found = {name: folder for name in WANTED if name in _words(folder / "cgroup.controllers")}
            if found.keys() >= NEEDED:
                yield Place(version=2, folders=found)
    found = {
        name: _below(point, root, own[name])
        for kind, options, point, root in mounts
        for name in WANTED
        if kind == "cgroup" and name in options and name in own
    }
    if found.keys() >= NEEDED:
        yield Place(version=1, folders=found)


def _own_groups(proc: Path) -> dict[str, str]:
    """The path of this process's group for each controller of version 1; under "" that of version 2."""
    groups: dict[str, str] = {}
    for line in _lines(proc / "cgroup"):
        _, controllers, path = line.split(":", 2)
        groups |= dict.fromkeys(controllers.split(","), path)
    return groups


def _mounts(proc: Path) -> Iterator[tuple[str, list[str], Path, str]]:
    """Kind, options, mount point and root of each mounted tree of control groups."""
    for line in _lines(proc / "mountinfo"):
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind.startswith("cgroup"):
            root, point = fields.split(" ")[3:5]
            yield kind, options.split(","), Path(point), root


def _below(point: Path, root: str, path: str) -> Path:
    """A group's folder, in a mount that may show a part of its tree only."""
    below = path.removeprefix(root) if path.startswith(root) else path
    return point / below.lstrip("/")


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
