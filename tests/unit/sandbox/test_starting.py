"""A zygote that cannot be started for want of something says so as one error, and leaves nothing open."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from flowray.errors import SandboxUnavailableError
from flowray.sandbox.image import Image
from flowray.sandbox.zygote import Zygote


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(
        name="a",
        digest="",
        python=Path(sys.executable),
        site_packages=tmp_path,
        base_prefix=Path(sys.base_prefix),
    )


def refuse(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EMFILE, "Too many open files")


def after(times: int, allowed: Any) -> Any:
    """What is allowed so many times, and then refused."""
    left = iter(range(times))

    def call(*given: Any, **named: Any) -> Any:
        return refuse() if next(left, None) is None else allowed(*given, **named)

    return call


@pytest.mark.parametrize(
    "refused",
    [
        "socket.socketpair",
        "tempfile.TemporaryFile",
        "os.memfd_create",
        "os.lseek",
        "pathlib.Path.read_bytes",
        "subprocess.Popen",
    ],
)
async def test_whatever_is_refused_is_named_and_nothing_stays_open(
    image: Image, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    (image.site_packages / "certifi").mkdir()
    (image.site_packages / "certifi" / "cacert.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(image.site_packages / "certifi" / "cacert.pem"))
    monkeypatch.setattr("flowray.sandbox.bubblewrap.find_bubblewrap", lambda: Path("/usr/bin/bwrap"))
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(refused, refuse)

    with pytest.raises(SandboxUnavailableError, match="Too many open files"):
        await Zygote.start(image)

    assert os.listdir("/proc/self/fd") == before


async def test_what_was_held_for_it_already_is_closed(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowray.sandbox.bubblewrap.find_bubblewrap", lambda: Path("/usr/bin/bwrap"))
    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "memfd_create", after(3, os.memfd_create))

    with pytest.raises(SandboxUnavailableError, match="Too many open files"):
        await Zygote.start(image)

    assert os.listdir("/proc/self/fd") == before


async def test_a_log_that_cannot_be_opened_is_named(image: Image, tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")

    with pytest.raises(SandboxUnavailableError, match="missing"):
        await Zygote.start(image, log=tmp_path / "missing" / "zygote.log")

    assert os.listdir("/proc/self/fd") == before
