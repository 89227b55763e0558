"""Where what runs inside is: found, and never imported by the trusted side."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from flowray.errors import ImageError


def inside_package() -> Path:
    """The folder of `flowray_sandbox`."""
    spec = find_spec("flowray_sandbox")
    if spec is None or not spec.submodule_search_locations:
        raise ImageError("The package `flowray_sandbox` is not installed. Install FlowRay again: pip install flowray")
    return Path(spec.submodule_search_locations[0])
