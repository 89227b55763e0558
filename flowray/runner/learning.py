"""What a Runner learns from its steps: which modules they import that the zygote could have had for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from flowray.errors import FlowRayError
from flowray.flow.types import Json
from flowray.sandbox.image import Image
from flowray.stores.import_counts import Counts, ImportCounts

log = logging.getLogger(__name__)

_MOST, _LONGEST = 1000, 200
# Names that wait to be looked for: a sandbox may make up new ones with each step.
_WAITING = 20_000
_LISTINGS = 10_000


class Learning:
    """Counts, and passes on what it has counted every few seconds while `work` runs."""

    def __init__(self, image: Image, counts: ImportCounts, *, every_s: float = 5.0) -> None:
        self._image = image
        self._counts = counts
        self._every_s = every_s
        self._steps = 0
        self._claimed: Counter[str] = Counter()
        version = image.python.name
        self._folders = (image.site_packages, image.base_prefix / "lib" / version)
        self._modules_in = lru_cache(maxsize=_LISTINGS)(_modules_in)

    def note(self, claimed: Json) -> None:
        """Take what a step says it has imported; whether it is there is looked up later, not in the loop."""
        self._steps += 1
        if isinstance(claimed, list) and len(self._claimed) < _WAITING:
            self._claimed.update({name for name in claimed[:_MOST] if isinstance(name, str) and len(name) <= _LONGEST})

    async def pass_on(self) -> None:
        """Hand what was counted to the store; it is kept for the next time when that cannot take it."""
        if not self._steps:
            return
        steps, claimed = self._steps, self._claimed
        self._steps, self._claimed = 0, Counter()
        counts = Counts(steps=steps, modules=await asyncio.to_thread(self._believed, claimed))
        try:
            await self._counts.add(self._image.digest, counts)
        except FlowRayError as cause:
            self._steps += counts.steps
            self._claimed.update(counts.modules)
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

    def _believed(self, claimed: Mapping[str, int]) -> dict[str, int]:
        """Only modules that the image has count: a sandbox says what it will."""
        return {name: times for name, times in claimed.items() if self._is_there(name)}

    def _is_there(self, name: str) -> bool:
        *packages, last = name.split(".")
        if not all(part.isidentifier() for part in (*packages, last)):
            return False
        return any(last in self._modules_in(folder.joinpath(*packages)) for folder in self._folders)


def _modules_in(folder: Path) -> frozenset[str]:
    """Return the modules and packages of a folder, which need not exist nor be a package itself."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(name for entry in entries if (name := _module_of(entry)))
    except OSError:
        return frozenset()


def _module_of(entry: os.DirEntry[str]) -> str:
    """Return what this file or folder is imported as, or nothing; a name may go on before the suffix `.so`."""
    if entry.name.endswith(".py"):
        return entry.name.removesuffix(".py")
    if entry.name.endswith(".so"):
        return entry.name.partition(".")[0]
    return entry.name if Path(entry, "__init__.py").is_file() else ""


def roots(modules: Iterable[str]) -> list[str]:
    """Return these modules without those that others bring along: importing `a.b` imports `a`."""
    names = set(modules)
    packages = {name[:at] for name in names for at, letter in enumerate(name) if letter == "."}
    return sorted(names - packages)
