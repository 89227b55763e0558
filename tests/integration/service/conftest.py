from __future__ import annotations

from importlib import resources
from typing import Any

import pytest

import flowray


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    text = (resources.files("flowray_serve") / "examples" / "report.flow").read_text()
    return dict(flowray.expand({"report": text})["report"])
