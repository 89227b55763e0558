from pathlib import Path

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.sandbox import probe
from flowray.sandbox.canaries import fallen
from tests.integration.sandbox.conftest import start


async def test_this_machine_has_all_walls() -> None:
    findings = await probe.probe()

    assert [finding for finding in findings if not finding.ok] == []
    assert findings[-1].wall == "jail"


async def test_a_wall_that_is_down_is_noticed() -> None:
    zygote = await start(lowered=["seccomp"])

    through = await fallen(zygote)

    await zygote.stop()
    assert {"new processes", "sockets", "local sockets"} <= set(through)


async def test_without_user_namespaces_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = tmp_path / "max_user_namespaces"
    off.write_text("0\n")
    monkeypatch.setattr(probe, "_NAMESPACES", off)

    with pytest.raises(SandboxUnavailableError, match=r"user namespaces: off\. Turn them on: sysctl"):
        await probe.require()
