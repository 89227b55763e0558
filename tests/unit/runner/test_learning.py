"""What a Runner learns of imports, and what it does not believe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from flowray.errors import StoreUnavailableError
from flowray.runner.learning import Learning, roots
from flowray.sandbox.image import Image
from flowray.stores.import_counts import Counts, MemoryImportCounts


class ForgetfulCounts(MemoryImportCounts):
    """A store that is away for a while."""

    away = True

    async def add(self, image: str, counts: Counts) -> None:
        if self.away:
            raise StoreUnavailableError("gone")
        await super().add(image, counts)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    for file in (
        "pandas/__init__.py",
        "pandas/core/frame.py",
        "pandas/io/__init__.py",
        "pandas/io/lib.abi3.so",
        "fast.cpython-313-x86_64-linux-gnu.so",
    ):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Image(name="i", digest="d", python=python, site_packages=tmp_path, base_prefix=Path(sys.base_prefix))


async def test_modules_of_the_image_are_counted_with_the_steps(image: Image) -> None:
    counts = MemoryImportCounts()
    learning = Learning(image, counts)

    learning.note(["pandas", "pandas.core.frame", "pandas.io", "pandas.io.lib", "fast", "json.tool"])
    learning.note(["pandas"])
    learning.note(None)
    await learning.pass_on()

    once = dict.fromkeys(("pandas.core.frame", "pandas.io", "pandas.io.lib", "fast", "json.tool"), 1)
    expected = {"pandas": 2, **once}
    assert await counts.of("d") == Counts(steps=3, modules=expected)


@pytest.mark.parametrize(
    "claimed",
    [
        ["secret.of.a.tenant"],
        ["pandas.made_up"],
        ["pandas.core"],
        ["../../etc/passwd"],
        [1, None],
        "pandas",
        {},
        ["x" * 1000],
        ["a/b"],
    ],
)
async def test_what_the_image_does_not_have_is_not_counted(image: Image, claimed: Any) -> None:
    counts = MemoryImportCounts()
    learning = Learning(image, counts)

    learning.note(claimed)
    await learning.pass_on()

    assert (await counts.of("d")).modules == {}


async def test_a_step_counts_a_module_once_however_often_it_says_it(image: Image) -> None:
    counts = MemoryImportCounts()
    learning = Learning(image, counts)

    learning.note(["pandas"] * 1000)
    await learning.pass_on()

    assert (await counts.of("d")).modules == {"pandas": 1}


async def test_what_a_step_has_imported_is_looked_for_when_it_is_passed_on(image: Image) -> None:
    counts = MemoryImportCounts()
    learning = Learning(image, counts)

    learning.note(["late"])
    (image.site_packages / "late.py").touch()
    await learning.pass_on()

    assert (await counts.of("d")).modules == {"late": 1}


async def test_looking_for_many_names_lists_each_folder_once(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    scandir = os.scandir

    def listing(folder: Path) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        listed.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", listing)
    learning = Learning(image, MemoryImportCounts())

    learning.note([f"made_up_{number}" for number in range(100)])
    learning.note([f"pandas.made_up_{number}" for number in range(100)])
    await learning.pass_on()

    assert len(listed) == len(set(listed))


async def test_names_that_are_made_up_are_not_kept_without_end(image: Image) -> None:
    counts = MemoryImportCounts()
    learning = Learning(image, counts)

    for step in range(100):
        learning.note([f"made_up_{step}_{number}" for number in range(1000)])
    learning.note(["pandas"])
    await learning.pass_on()

    assert await counts.of("d") == Counts(steps=101, modules={})


async def test_what_cannot_be_passed_on_is_passed_on_later(image: Image) -> None:
    counts = ForgetfulCounts()
    learning = Learning(image, counts)
    learning.note(["pandas"])
    await learning.pass_on()
    counts.away = False

    learning.note(["pandas"])
    await learning.pass_on()

    assert await counts.of("d") == Counts(steps=2, modules={"pandas": 2})


def test_modules_that_others_bring_along_are_left_out() -> None:
    assert roots(["a", "a.b", "a.b.c", "a.bc", "d"]) == ["a.b.c", "a.bc", "d"]
