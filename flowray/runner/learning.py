"""What a Runner learns from its steps: which modules they import that the zygote could have had for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from flowray.errors import FlowRayError
from flowray.flow.types import Json
from flowray.sandbox.image import Image
from flowray.stores.import_counts import Counts, ImportCounts

log = logging.getLogger(__name__)

_MOST, _LONGEST = 1000, 200


class Learning:
    """Counts, and passes on what it has counted every few seconds while `work` runs."""

    def __init__(self, image: Image, counts: ImportCounts, *, every_s: float = 5.0) -> None:
        self._image = image
        self._counts = counts
        self._every_s = every_s
        self._steps = 0
        self._modules: Counter[str] = Counter()
        version = image.python.name
        self._folders = (image.site_packages, image.base_prefix / "lib" / version)
        self._is_there = lru_cache(maxsize=50_000)(self._is_module)

    def note(self, claimed: Json) -> None:
        """Take what a step says it has imported. Only modules that the image has count: a sandbox says what it will."""
        self._steps += 1
        if not isinstance(claimed, list):
            return
        names = {name for name in claimed[:_MOST] if isinstance(name, str) and len(name) <= _LONGEST}
        self._modules.update(name for name in names if self._is_there(name))

    async def pass_on(self) -> None:
        """Hand what was counted to the store; it is kept for the next time when that cannot take it."""
        if not self._steps:
            return
        counts = Counts(steps=self._steps, modules=dict(self._modules))
        self._steps, self._modules = 0, Counter()
        try:
            await self._counts.add(self._image.digest, counts)
        except FlowRayError as cause:
            self._steps += counts.steps
            self._modules.update(counts.modules)
            log.info("Imports not counted", extra={"action": "imports_not_counted", "reason": cause.message})

    async def work(self) -> None:
        """Pass on for ever."""
        try:
            while True:
                await asyncio.sleep(self._every_s)
                await self.pass_on()
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.pass_on()

    def _is_module(self, name: str) -> bool:
        parts = name.split(".")
        if not all(part.isidentifier() for part in parts):
            return False
        return any(_holds(folder.joinpath(*parts)) for folder in self._folders)


def _holds(place: Path) -> bool:
    """Whether a module's file, or a package's, is there; its name may go on before the suffix."""
    if (place / "__init__.py").is_file() or place.with_suffix(".py").is_file():
        return True
    return any(place.parent.glob(f"{place.name}.*.so")) if place.parent.is_dir() else False


def roots(modules: Iterable[str]) -> list[str]:
    """Return these modules without those that others bring along: importing `a.b` imports `a`."""
    names = set(modules)
    packages = {name[:at] for name in names for at, letter in enumerate(name) if letter == "."}
    return sorted(names - packages)
