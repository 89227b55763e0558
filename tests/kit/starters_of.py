"""Starter flows of earlier releases of Langflow, read out of their wheels: what people have exported over the years."""

from __future__ import annotations

import json
import zipfile
from functools import cache
from typing import Any

from tests.kit.starters import FOLDER, wheel

# By Langflow's version, as people know it.
RELEASES = {
    "1.0": "langflow-base==0.0.99",
    "1.1": "langflow-base==0.1.4",
    "1.3": "langflow-base==0.3.4",
    "1.5": "langflow-base==0.5.1",
    "1.7": "langflow-base==0.7.3",
    "1.9": "langflow-base==0.9.6",
    "1.12": "langflow-base==1.12.8",
    "1.13": "langflow-base==1.13.0",
}


@cache
def starters_of(release: str) -> dict[str, dict[str, Any]]:
    """All starter flows of a release, by the names of their files."""
    with zipfile.ZipFile(wheel(RELEASES[release])) as archive:
        names = [name for name in archive.namelist() if FOLDER in name and name.endswith(".json")]
        return {name.rpartition("/")[2]: json.loads(archive.read(name)) for name in sorted(names)}
