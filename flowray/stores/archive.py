"""Finished journals in the object store, where they stay."""

from __future__ import annotations

import logging
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager

from flowray.engine.codec import EventFormatError, encode, from_json, loads
from flowray.engine.events import Recorded, RunId
from flowray.errors import NotFoundError
from flowray.stores.objects import ObjectStore
from flowray.stores.paths import is_segment, path

log = logging.getLogger(__name__)

_READ_AT_ONCE = 64
_SUFFIX = ".jsonl.gz"
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

    async def count(self, tenant: str, run: RunId, recorded: Sequence[Recorded]) -> None:
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
        return is_segment(run) and await self._objects.exists(_path(tenant, run))

    async def all(self) -> AsyncGenerator[tuple[str, RunId, bytes], None]:
        """Each journal that is kept, packed, in any order; some are read at a time, as reading one takes long."""
        async for tenant in self._objects.folders("tenants"):
            async for keys in _some(one.key async for one in self._objects.list(path(tenant, "journals"))):
                for key, content in (await self._objects.get_all(keys)).items():
                    yield tenant, run_of(key), content


@contextmanager
def if_readable(tenant: str, run: RunId) -> Iterator[None]:
    """Pass over a journal that is damaged, or that a later version wrote, and say so."""
    try:
        yield
    except (EventFormatError, zlib.error, ValueError, LookupError) as cause:
        facts = {"tenant": tenant, "run": run, "reason": str(cause)}
        log.warning("Journal not readable", extra={"action": "journal_unreadable", **facts})


async def _some(keys: AsyncIterator[str]) -> AsyncGenerator[list[str], None]:
    some: list[str] = []
    async for key in keys:
        some.append(key)
        if len(some) == _READ_AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def lines_of(recorded: Iterable[Recorded]) -> Iterator[bytes]:
    """The lines of a journal: JSON lists of one event each."""
    return (b"[" + encode(one) + b"]" for one in recorded)


def run_of(key: str) -> RunId:
    """The run whose journal has this key."""
    return RunId(key.rpartition("/")[2].removesuffix(_SUFFIX))


def packed(lines: Iterable[bytes]) -> bytes:
    """A journal as it is kept; each line is a JSON list of events."""
    packer = zlib.compressobj(level=3, wbits=_GZIP)
    return packer.compress(b"\n".join(lines)) + packer.flush()


def unpacked(content: bytes) -> Sequence[Recorded]:
    """What `packed` made."""
    return [from_json(plain) for line in unpacked_lines(content) for plain in loads(line)]


def unpacked_lines(content: bytes) -> Sequence[bytes]:
    """The lines that `packed` was given."""
    return zlib.decompress(content, wbits=_GZIP).splitlines()


def _path(tenant: str, run: RunId) -> str:
    return path(tenant, "journals", f"{run}{_SUFFIX}")
