"""What a Runner learns of imports, and what it does not believe."""

from __future__ import annotations

import sys
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
    for file in ("pandas/__init__.py", "pandas/core/frame.py", "fast.cpython-313-x86_64-linux-gnu.so"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Image(name="i", digest="d", python=python, site_packages=tmp_path, base_prefix=Path(sys.base_prefix))


async def test_modules_of_the_image_are_counted_with_the_steps(image: Image) -> None:
    counts = MemoryImportCounts()
    learning = Learning(image, counts)

    learning.note(["pandas", "pandas.core.frame", "fast", "json.tool"])
    learning.note(["pandas"])
    learning.note(None)
    await learning.pass_on()

    expected = {"pandas": 2, "pandas.core.frame": 1, "fast": 1, "json.tool": 1}
    assert await counts.of("d") == Counts(steps=3, modules=expected)


@pytest.mark.parametrize(
    "claimed",
    [["secret.of.a.tenant"], ["pandas.made_up"], ["../../etc/passwd"], [1, None], "pandas", {}, ["x" * 1000], ["a/b"]],
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
