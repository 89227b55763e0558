"""The components that lfx ships, as its installed index lists them: read as data, lfx is never imported."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import orjson

from flowray.component.frontend import spec_of
from flowray.component.spec import ComponentSpec
from flowray.errors import FlowFormatError, NotFoundError
from flowray.flow.shape import a_list, an_object
from flowray.flow.types import Json

_PLACE = Path("_assets", "component_index.json")
INDEX = "The component index"


def find_index(site_packages: Path | None = None) -> Path:
    """Return the path of the component index: in the given folder (an environment image's), or in this environment."""
    for folder in _lfx_folders() if site_packages is None else [site_packages / "lfx"]:
        if (folder / _PLACE).is_file():
            return folder / _PLACE
    where = "this environment" if site_packages is None else str(site_packages)
    raise NotFoundError(f"lfx's component index is not in {where}. Install it: pip install lfx==1.13.0")


def read_index(path: Path) -> dict[str, Json]:
    """Return an index as it is written; `FlowFormatError` when it cannot be read."""
    try:
        return an_object(orjson.loads(path.read_bytes()), INDEX)
    except (OSError, orjson.JSONDecodeError) as cause:
        raise FlowFormatError(f"{INDEX} at {path} cannot be read: {cause}.") from cause


def load_index(path: Path) -> Mapping[str, ComponentSpec]:
    """Return the specs of an index by the SHA-256 (hex) of their source."""
    index = read_index(path)
    specs = (
        spec_of(name, an_object(frontend, INDEX, name), origin="lfx")
        for category in a_list(index.get("entries"), INDEX, "entries")
        for name, frontend in _components(category).items()
    )
    return {spec.digest: spec for spec in specs}


def _lfx_folders() -> list[Path]:
    # Finding a top-level package does not run it.
    found = find_spec("lfx")
    return [Path(folder) for folder in found.submodule_search_locations or ()] if found else []


def _components(category: Json) -> dict[str, Json]:
    """Return the components of a category; the index writes it as a pair of its name and them."""
    match category:
        case [str(), dict() as components]:
            return components
        case _:
            raise FlowFormatError(f"{INDEX} has an entry that is not a category with its components.")
