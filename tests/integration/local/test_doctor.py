"""`flowray doctor` on a machine that can run FlowRay: each pool's walls are tried, and found standing."""

from __future__ import annotations

from pathlib import Path

from flowray_serve.checkup import checkup
from flowray_serve.home import Home
from flowray_serve.settings import Settings


async def test_the_walls_of_each_kind_of_pool_are_tried(tmp_path: Path) -> None:
    pools = {"default": {}, "like": {}, "loose": {"lowered_walls": ["landlock"], "tenants": ["acme"]}}
    settings = Settings.model_validate({"home": tmp_path, "pools": pools})

    found = {one.name: one async for one in checkup(settings, Home(tmp_path))}

    jails = {name: one.ok for name, one in found.items() if name.startswith("jail")}
    assert jails == {"jail (default, like)": True, "jail (loose)": True}
    assert "lowered" in found["landlock (loose)"].fact
    assert "lowered" not in found["landlock (default, like)"].fact
