"""The example flows that FlowRay ships, in lfx's compact form."""

from __future__ import annotations

from pathlib import Path

import flowray_serve

_FOLDER = Path(flowray_serve.__file__).with_name("examples")
NAMES = sorted(file.stem for file in _FOLDER.glob("*.flow"))


def example_file(name: str) -> Path:
    """Where one of them is."""
    return _FOLDER / f"{name}.flow"


def example(name: str) -> str:
    """The text of one of them."""
    return example_file(name).read_text()
