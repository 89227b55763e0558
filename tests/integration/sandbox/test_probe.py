from pathlib import Path

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.sandbox import confinement, probe
from flowray.sandbox.canaries import fallen
from flowray.sandbox.walls import LowerableWall
from tests.integration.sandbox.conftest import start

LANDLOCK: tuple[LowerableWall, ...] = ("landlock",)
SECCOMP: tuple[LowerableWall, ...] = ("seccomp",)


async def test_this_machine_has_all_walls() -> None:
    findings = await probe.probe()

    assert [finding for finding in findings if not finding.ok] == []
    assert findings[-1].wall == "jail"


async def test_a_wall_that_is_down_is_noticed() -> None:
    zygote = await start(lowered=["seccomp"])

    through = await fallen(zygote)

    await zygote.stop()
    assert {"new processes", "sockets", "local sockets"} <= set(through)


@pytest.mark.parametrize("lowered", [["seccomp"], ["landlock"], ["landlock", "seccomp"]])
async def test_what_gets_through_without_a_lowered_wall_is_known_and_nothing_else_does(
    lowered: list[LowerableWall],
) -> None:
    zygote = await start(lowered=lowered)

    through, unexpected = await fallen(zygote), await fallen(zygote, lowered)

    await zygote.stop()
    assert (bool(through), unexpected) == (True, [])


async def test_a_machine_without_landlock_is_refused_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_LEAST_LANDLOCK", 99)

    with pytest.raises(SandboxUnavailableError, match=r"^landlock: version \d+\. Linux 6\.7") as refusal:
        await probe.require()

    assert "\n" not in refusal.value.message


async def test_the_same_machine_is_taken_when_that_wall_is_lowered_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_LEAST_LANDLOCK", 99)

    findings = {finding.wall: finding for finding in await probe.probe(lowered=LANDLOCK)}

    assert all(finding.ok for finding in findings.values())
    assert findings["landlock"].found.startswith("lowered by a setting")


async def test_lowering_one_wall_excuses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_LEAST_LANDLOCK", 99)

    with pytest.raises(SandboxUnavailableError, match=r"^landlock:"):
        await probe.require(lowered=SECCOMP)


async def test_without_user_namespaces_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    off = tmp_path / "max_user_namespaces"
    off.write_text("0\n")
    monkeypatch.setattr(probe, "_SWITCHES", {off: "Turn them on: sysctl -w this"})

    with pytest.raises(SandboxUnavailableError, match=r"user namespaces: off\. Turn them on: sysctl"):
        await probe.require()


async def test_a_process_that_is_refused_a_user_namespace_is_told_so_by_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_TRIAL", "import sys; sys.exit(1)")

    with pytest.raises(SandboxUnavailableError, match=r"^user namespaces: refused \(Operation not permitted\)\. What"):
        await probe.require()
