"""Files of a tenant's own, which any of its flows may read, in the shapes of Langflow's v2."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError, NotFoundError, RequestTooLargeError
from flowray.stores.records import UploadRecord
from flowray.tenancy.langflow_ids import tenant_uuid
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.service import Detail, Message
from flowray_serve.answers.stored import FileInShort, FileRead
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import parse_json, read_body
from flowray_serve.bundle import MEDIA_TYPE, attachment, file_name, plain
from flowray_serve.langflow_times import iso
from flowray_serve.own_files import OwnFiles, free_name, plain_name
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import gives, says, takes_file, takes_ids
from flowray_serve.routes.uploads import form_file
from flowray_serve.services import Services

_IDS = TypeAdapter(list[UUID])
_IDS_LIMIT = 10_000


class OwnFileRoutes:
    """The handlers of `/api/v2/files`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes; those of the whole collection answer with and without a slash at the end."""
        router = APIRouter(prefix="/api/v2/files", tags=["files"])
        for path, add in (("", router.add_api_route), ("/", partial(router.add_api_route, include_in_schema=False))):
            add(
                path,
                self.upload,
                methods=["POST"],
                status_code=201,
                openapi_extra=takes_file(),
                responses=says(FileInShort, status=201),
            )
            add(path, self.list, methods=["GET"], responses=says(list[FileRead]))
            add(path, self.delete_all, methods=["DELETE"], responses=says(Message))
        router.add_api_route(
            "/batch/",
            self.download_some,
            methods=["POST"],
            openapi_extra=takes_ids(),
            response_class=Response,
            responses=gives(MEDIA_TYPE),
        )
        router.add_api_route(
            "/batch/", self.delete_some, methods=["DELETE"], openapi_extra=takes_ids(), responses=says(Message)
        )
        router.add_api_route(
            "/{file}",
            self.download,
            methods=["GET"],
            response_class=Response,
            responses=gives("application/octet-stream"),
        )
        router.add_api_route("/{file}", self.rename, methods=["PUT"], responses=says(FileInShort))
        router.add_api_route("/{file}", self.delete, methods=["DELETE"], responses=says(Detail))
        return router

    @needs(Permission.FILES_WRITE)
    async def upload(self, request: Request) -> Response:
        """Keep a file. Give the answer's `path` to a file field of any flow."""
        caller = await self._services.authenticator(request)
        file = await form_file(request, limit_bytes=self._services.limits.file_bytes)
        kept = OwnFiles(self._services.uploads, self._services.store)
        record = await kept.keep(caller.tenant, plain_name(file.name), file.content)
        return reply(_in_short(record), status=201)

    @needs(Permission.FILES_READ)
    async def list(self, request: Request) -> Response:
        """All files."""
        caller = await self._services.authenticator(request)
        return reply([_shown(caller.tenant, one) for one in await self._services.uploads.list(caller.tenant)])

    @needs(Permission.FILES_READ)
    async def download(self, request: Request, file: UUID) -> Response:
        """One file."""
        caller = await self._services.authenticator(request)
        record = await self._found(caller.tenant, file)
        content = await self._services.store.read_file(caller.tenant, record.path)
        return Response(content, media_type="application/octet-stream", headers=attachment(_download_name(record)))

    @needs(Permission.FILES_WRITE)
    async def rename(
        self, request: Request, file: UUID, name: Annotated[str, Query(min_length=1, max_length=256)]
    ) -> Response:
        """Give a file another name; its path stays, so that flows still find it."""
        caller = await self._services.authenticator(request)
        record = replace(await self._found(caller.tenant, file), name=name, updated_at=time.time())
        await self._services.uploads.save(caller.tenant, record)
        return reply(_in_short(record))

    @needs(Permission.FILES_WRITE)
    async def delete(self, request: Request, file: UUID) -> Response:
        """Remove a file."""
        caller = await self._services.authenticator(request)
        record = await self._found(caller.tenant, file)
        await self._forget(caller.tenant, [record])
        return reply({"detail": f"File {record.name} deleted successfully"})

    @needs(Permission.FILES_WRITE)
    async def delete_all(self, request: Request) -> Response:
        """Remove all files."""
        caller = await self._services.authenticator(request)
        records = await self._services.uploads.list(caller.tenant)
        await self._forget(caller.tenant, records)
        return reply({"message": f"All {len(records)} files deleted successfully"})

    @needs(Permission.FILES_READ)
    async def download_some(self, request: Request) -> Response:
        """Several files as a zip."""
        caller = await self._services.authenticator(request)
        records = await self._listed(caller.tenant, request)
        if sum(record.size for record in records) > self._services.limits.download_bytes:
            raise RequestTooLargeError("These files are too large for one download; ask for fewer at a time.")
        packed, taken = io.BytesIO(), set[str]()
        with zipfile.ZipFile(packed, "w") as archive:
            for record in records:
                name = free_name(_download_name(record), taken)
                taken.add(name)
                archive.writestr(name, await self._services.store.read_file(caller.tenant, record.path))
        return Response(packed.getvalue(), media_type=MEDIA_TYPE, headers=attachment(file_name("langflow_files")))

    @needs(Permission.FILES_WRITE)
    async def delete_some(self, request: Request) -> Response:
        """Remove several files."""
        caller = await self._services.authenticator(request)
        records = await self._listed(caller.tenant, request)
        await self._forget(caller.tenant, records)
        return reply({"message": f"{len(records)} files deleted successfully"})

    async def _listed(self, tenant: str, request: Request) -> Sequence[UploadRecord]:
        parsed = parse_json(await read_body(request, limit_bytes=self._services.limits.run_bytes) or b"null")
        try:
            wanted = {str(one) for one in _IDS.validate_python(parsed)}
        except ValidationError as cause:
            raise InvalidRequestError("The body must be a JSON list of ids, each a UUID.") from cause
        records = [one for one in await self._services.uploads.list(tenant) if one.id in wanted]
        if not records:
            raise NotFoundError("No files found: none of these ids is one of yours.")
        return records

    async def _found(self, tenant: str, file: UUID) -> UploadRecord:
        record = await self._services.uploads.find(tenant, str(file))
        if record is None:
            raise NotFoundError(f"File not found: there is none with the id `{file}`.")
        return record

    async def _forget(self, tenant: str, records: Sequence[UploadRecord]) -> None:
        for record in records:
            await self._services.uploads.delete(tenant, record.id)
            await self._services.store.delete_file(tenant, record.path)


def _download_name(record: UploadRecord) -> str:
    return plain(f"{record.name}{PurePosixPath(record.path).suffix}")


def _in_short(record: UploadRecord) -> FileInShort:
    return {"id": record.id, "name": record.name, "path": record.path, "size": record.size, "provider": None}


def _shown(tenant: str, record: UploadRecord) -> dict[str, Any]:
    times = {"created_at": iso(record.created_at), "updated_at": iso(record.updated_at)}
    return {**_in_short(record), **times, "user_id": tenant_uuid(tenant, "user")}
