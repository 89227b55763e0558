"""The object store, which is the record: a folder, a bucket, or this process's memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import LocalStore, MemoryStore, S3Store

from flowray.engine.values import Ref
from flowray.errors import NotFoundError, OvertakenError, SettingsError, StoreUnavailableError
from flowray.stores.folders import delete_file, exchange_file

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

_Store = LocalStore | MemoryStore | S3Store
_LISTED_AT_ONCE, _READ_AT_ONCE, _CHANGE_TRIES = 1_000, 16, 10
# A bucket that is away should fail the request that needs it, not hold it for minutes.
_RETRIES: RetryConfig = {"max_retries": 3, "retry_timeout": timedelta(seconds=20)}
_CONNECT_S, _ANSWER_S = timedelta(seconds=5), timedelta(seconds=60)
_S3_OPTIONS = frozenset(
    {"endpoint", "region", "access_key_id", "secret_access_key", "session_token", "virtual_hosted_style_request"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """An object as a list shows it. `tag` changes with the content."""

    key: str
    size: int
    modified: datetime
    tag: str


class ObjectStore:
    """Bytes by key. `name` is what errors call it."""

    def __init__(self, store: _Store, *, name: str) -> None:
        self._store = store
        self._name = name

    async def put(self, key: str, data: bytes) -> Ref:
        """Write; whoever reads meanwhile gets the old bytes or the new ones."""
        with self._translated():
            await obstore.put_async(self._store, key, data)
        return _ref(key, data)

    async def create(self, key: str, data: bytes) -> bool:
        """Write if there is nothing yet; whether there was nothing."""
        try:
            with self._translated():
                await obstore.put_async(self._store, key, data, mode="create")
        except _TakenError:
            return False
        return True

    async def change(self, key: str, make: Callable[[bytes], bytes]) -> bytes | None:
        """Replace the bytes by what `make` makes of them; None when there are none.

        Should they be others by then, `make` is asked again; `OvertakenError` when that does not end. Whoever `put`s
        the same key is not waited for: in a folder what they put may be lost.
        """
        for _ in range(_CHANGE_TRIES):
            try:
                old = await self.get(key)
            except NotFoundError:
                return None
            new = make(old)
            with self._translated():
                if new == old or await _exchange(self._store, key, old, new):
                    return new
        raise OvertakenError("Others change the same thing at the same time. Try again.")

    async def exchange(self, key: str, old: bytes, new: bytes) -> bool:
        """Replace these bytes by others, if they are still there; whether the others are there now. See `change`."""
        return await self.change(key, lambda there: new if there == old else there) == new

    async def get(self, key: str) -> bytes:
        """The bytes; `NotFoundError` when there are none."""
        with self._translated():
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

    async def get_all(self, keys: Iterable[str]) -> Mapping[str, bytes]:
        """The bytes of these, in their order; what is gone since it was listed is passed over."""
        gate = asyncio.Semaphore(_READ_AT_ONCE)

        async def read(key: str) -> tuple[str, bytes] | None:
            async with gate:
                try:
                    return key, await self.get(key)
                except NotFoundError:
                    return None

        return dict(filter(None, await asyncio.gather(*map(read, keys))))

    async def exists(self, key: str) -> bool:
        """Whether there is an object with this key."""
        return await self.modified(key) is not None

    async def modified(self, key: str) -> datetime | None:
        """When an object was written last; None when there is none."""
        try:
            with self._translated():
                return (await obstore.head_async(self._store, key))["last_modified"]
        except NotFoundError:
            return None

    async def delete(self, key: str) -> None:
        """Remove; it may be gone already."""
        try:
            with self._translated():
                await _delete(self._store, key)
        except NotFoundError:
            return

    async def clear(self, folder: str) -> None:
        """Remove all that lies below a folder."""
        async for one in self.list(folder):
            await self.delete(one.key)

    async def folders(self, prefix: str) -> AsyncGenerator[str, None]:
        """The names of the folders directly below a folder."""
        with self._translated():
            found = await obstore.list_with_delimiter_async(self._store, prefix)
        for one in found["common_prefixes"]:
            yield one.rpartition("/")[2]

    async def list(self, prefix: str) -> AsyncGenerator[Listed, None]:
        """What lies below a folder."""
        with self._translated():
            async for batch in obstore.list(self._store, prefix, chunk_size=_LISTED_AT_ONCE):
                for one in batch:
                    tag = one["e_tag"] or str(one["last_modified"])
                    yield Listed(key=one["path"], size=one["size"], modified=one["last_modified"], tag=tag)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as cause:
            raise NotFoundError("The object store has no such object.") from cause
        except AlreadyExistsError as cause:
            raise _TakenError from cause
        except (BaseError, OSError) as cause:
            first_line = str(cause).partition("\n")[0]
            raise StoreUnavailableError(f"The object store {self._name} did not answer: {first_line[:300]}") from cause


class _TakenError(Exception):
    """There is an object with this key."""


def open_objects(url: str, *, options: Mapping[str, str] | None = None) -> ObjectStore:
    """The store at `url`: a folder or `file://`, `s3://bucket/prefix`, or `memory:`.

    `options` are for S3: endpoint, region, access_key_id and so on; what they leave open comes from the environment,
    as usual for AWS.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "memory":
            return ObjectStore(MemoryStore(), name="in memory")
        case "s3":
            return ObjectStore(_bucket(parts.netloc, parts.path.strip("/"), options or {}), name=f"`{url}`")
        case "file":
            return ObjectStore(_folder(Path(unquote(parts.path))), name=f"`{parts.path}`")
        case "":
            return ObjectStore(_folder(Path(url).expanduser()), name=f"`{url}`")
        case _:
            raise SettingsError(f"`{url}` is no object store. Name a folder, `file://...` or `s3://bucket/prefix`.")


async def _exchange(store: _Store, key: str, old: bytes, new: bytes) -> bool:
    """Write `new` if `old` is there; whether it was."""
    if isinstance(store, LocalStore):
        return await asyncio.to_thread(exchange_file, store, key, old, new)
    try:
        found = await obstore.get_async(store, key)
        if bytes(await found.bytes_async()) != old:
            return False
        await obstore.put_async(store, key, new, mode={"e_tag": found.meta["e_tag"]})
    except (FileNotFoundError, PreconditionError):
        return False
    return True


async def _delete(store: _Store, key: str) -> None:
    if isinstance(store, LocalStore):
        await asyncio.to_thread(delete_file, store, key)
    else:
        await obstore.delete_async(store, key)


def _folder(folder: Path) -> LocalStore:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as cause:
        raise StoreUnavailableError(f"The folder `{folder}` cannot be made: {cause}") from cause
    return LocalStore(folder.resolve())


def _bucket(bucket: str, prefix: str, options: Mapping[str, str]) -> S3Store:
    if unknown := options.keys() - _S3_OPTIONS:
        known = ", ".join(sorted(_S3_OPTIONS))
        raise SettingsError(f"`{min(unknown)}` is no option of the object store. Known are {known}.")
    is_plain_http = options.get("endpoint", "").startswith("http://")
    client: ClientConfig = {"allow_http": is_plain_http, "connect_timeout": _CONNECT_S, "timeout": _ANSWER_S}
    config = cast("S3Config", dict(options))
    return S3Store(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=_RETRIES)


def _ref(key: str, data: bytes) -> Ref:
    return Ref(key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest())
