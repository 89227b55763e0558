"""Several flows in one file: a zip with a JSON file each, or one JSON document with a list of them."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
import zlib
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from flowray.errors import InvalidRequestError, RequestTooLargeError
from flowray.flow.export import exported, imported
from flowray_serve.bodies.reading import bound_containers, parse_json
from flowray_serve.flow_answer import NEVER_EXPORTED
from flowray_serve.own_files import free_name

MEDIA_TYPE = "application/x-zip-compressed"
_ENTRIES_LIMIT = 500
_RATIO_LIMIT = 200
_NAME_LIMIT_CHARS = 100
# Of the other ways to pack, Python unpacks all that comes at once: 300 bytes would become as many megabytes.
_PACKINGS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


class BundleError(InvalidRequestError):
    """The file holds no flows."""

    code = "bundle_unreadable"
    status = 400


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """The flows of a file, and what the file says of the project they belong to."""

    flows: tuple[dict[str, Any], ...]
    project: str | None = None
    description: str | None = None


def export(document: Mapping[str, Any]) -> dict[str, Any]:
    """A kept flow as it leaves."""
    return {name: value for name, value in exported(document).items() if name not in NEVER_EXPORTED}


async def zipped(documents: AsyncIterable[Mapping[str, Any]], *, limit_bytes: int) -> bytes:
    """A zip of these flows, each in a file named after it; `RequestTooLargeError` when it outgrows the limit.

    Only the flow that is being packed is in memory, and a thread packs it: a tenant's canvases may be large together.
    """
    packed, taken = io.BytesIO(), set[str]()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        async for document in documents:
            name = free_name(f"{plain(str(document.get('name') or 'flow'))}.json", taken)
            taken.add(name)
            await asyncio.to_thread(_pack, archive, name, document)
            if packed.tell() > limit_bytes:
                raise RequestTooLargeError("These flows are too large for one download; ask for fewer at a time.")
    return packed.getvalue()


def _pack(archive: zipfile.ZipFile, name: str, document: Mapping[str, Any]) -> None:
    archive.writestr(name, orjson.dumps(export(document), option=_NEAT))


def file_name(what: str, *, ending: str = "zip") -> str:
    """What a download is called."""
    return f"{datetime.now(UTC):%Y%m%d_%H%M%S}_{plain(what)}.{ending}"


def attachment(name: str) -> dict[str, str]:
    """The header that makes a browser save the answer under this name."""
    return {"content-disposition": f'attachment; filename="{plain(name)}"'}


def plain(name: str) -> str:
    """A file's name without what a path or a header could stumble over."""
    return re.sub(r"[^A-Za-z0-9 ._()-]", "_", name).strip(" .")[:_NAME_LIMIT_CHARS] or "flow"


def read_bundle(content: bytes, *, limit_bytes: int) -> Bundle:
    """The flows in a zip or a JSON document; `BundleError` when there are none."""
    if not content:
        raise BundleError("The uploaded file is empty.")
    if content.startswith(b"PK"):
        return Bundle(flows=tuple(_unzipped(content, limit_bytes)))
    parsed = parse_json(content)
    if not isinstance(parsed, dict):
        raise InvalidRequestError("The file must hold a flow, or an object with a list `flows`.")
    if "flows" not in parsed:
        return Bundle(flows=(_flow(parsed, "the file"),))
    if not isinstance(parsed["flows"], list):
        raise InvalidRequestError("`flows` must be a list of flows.")
    flows = tuple(_flow(flow, f"flows.{number}") for number, flow in enumerate(parsed["flows"]))
    return Bundle(flows=flows, project=_text(parsed, "folder_name"), description=_text(parsed, "folder_description"))


def _unzipped(content: bytes, limit_bytes: int) -> list[dict[str, Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".json")]
            _check(entries, packed_bytes=len(content), limit_bytes=limit_bytes)
            contents = [_content(archive, entry) for entry in entries]
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as cause:
        raise BundleError(f"The zip cannot be read: {str(cause)[:200]}") from cause
    if not contents:
        raise BundleError("The zip holds no JSON file.")
    bound_containers(contents)
    named = zip(entries, contents, strict=True)
    return [_flow(parse_json(content), f"`{entry.filename[:80]}`") for entry, content in named]


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """What an entry holds. Asked for without a size, Python would unpack more than the directory says."""
    with archive.open(entry) as packed:
        return packed.read(entry.file_size)


def _check(entries: list[zipfile.ZipInfo], *, packed_bytes: int, limit_bytes: int) -> None:
    """Refuse by what the directory says; reading stops at the size it says."""
    whole = sum(entry.file_size for entry in entries)
    if len(entries) > _ENTRIES_LIMIT:
        raise RequestTooLargeError(f"The zip has {len(entries)} files; the most is {_ENTRIES_LIMIT}.")
    if whole > min(limit_bytes * 4, packed_bytes * _RATIO_LIMIT):
        raise RequestTooLargeError(f"The zip's files have {whole:,} bytes together, more than this route reads.")
    if not {entry.compress_type for entry in entries} <= _PACKINGS:
        raise BundleError("The zip cannot be read: its files must be stored or deflated, as most programs pack them.")


def _flow(parsed: Any, place: str) -> dict[str, Any]:
    if not isinstance(parsed, dict):
        raise InvalidRequestError(f"{place} is no flow: a flow is a JSON object.")
    return imported(parsed)


def _text(parsed: Mapping[str, Any], name: str) -> str | None:
    value = parsed.get(name)
    return value if isinstance(value, str) and value else None


_NEAT = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2
