"""Finished journals in the object store, where they stay."""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

from flowray.engine.codec import encode, from_json, loads
from flowray.engine.events import Recorded, RunId
from flowray.errors import NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path

_GZIP = 31  # zlib's name for a window of 15 bits with gzip's frame around it


class Archive:
    """One gzipped file per run; each of its lines is a JSON list of events."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def keep(self, tenant: str, run: RunId, lines: Iterable[bytes]) -> None:
        """Keep a finished journal."""
        await self._objects.put(_path(tenant, run), packed(lines))

    async def keep_all(self, tenant: str, run: RunId, recorded: Iterable[Recorded]) -> None:
        """Keep a finished journal that is at hand."""
        await self.keep(tenant, run, lines_of(recorded))

    async def count(self, tenant: str, run: RunId, recorded: Iterable[Recorded]) -> None:
        """Count what a run has used whose journal is kept already; nobody counts here."""

    async def find(self, tenant: str, run: RunId) -> Sequence[Recorded] | None:
        """A journal that was kept."""
        if not is_segment(run):
            return None
        try:
            return unpacked(await self._objects.get(_path(tenant, run)))
        except NotFoundError:
            return None

    async def has(self, tenant: str, run: RunId) -> bool:
        """Whether a journal was kept."""
        folder = path(tenant, "journals")
        return is_segment(run) and await self._objects.exists(f"{folder}/{run}.jsonl.gz")

    async def all(self) -> AsyncGenerator[tuple[str, RunId], None]:
        """The tenant and id of each run that is kept."""
        async for one in self._objects.list("tenants"):
            match one.key.split("/"):
                case ["tenants", tenant, "journals", file]:
                    yield tenant, RunId(file.removesuffix(".jsonl.gz"))
                case _:
                    continue


def lines_of(recorded: Iterable[Recorded]) -> Iterator[bytes]:
    """The lines of a journal: JSON lists of one event each."""
    return (b"[" + encode(one) + b"]" for one in recorded)


def packed(lines: Iterable[bytes]) -> bytes:
    """A journal as it is kept; each line is a JSON list of events."""
    packer = zlib.compressobj(level=3, wbits=_GZIP)
    return packer.compress(b"\n".join(lines)) + packer.flush()


def unpacked(content: bytes) -> Sequence[Recorded]:
    """What `packed` made."""
    lines = zlib.decompress(content, wbits=_GZIP).splitlines()
    return [from_json(plain) for line in lines for plain in loads(line)]


def _path(tenant: str, run: RunId) -> str:
    return path(tenant, "journals", f"{run}.jsonl.gz")
