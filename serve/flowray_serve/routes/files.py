"""Files for a flow's runs, in the shape of Langflow's v1 upload."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from pathlib import PurePosixPath

from fastapi import APIRouter
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError
from flowray.tenancy.permissions import Permission
from flowray_serve.auth import needs
from flowray_serve.bodies.reading import limited
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import takes_file
from flowray_serve.services import Services

_FORM_FIELDS_LIMIT = 10
_NAME_LIMIT_CHARS = 120
_FORM_OVERHEAD_BYTES = 16 * 1024


class FileRoutes:
    """The handlers of `/api/v1/files`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/files", tags=["files"])
        router.add_api_route(
            "/upload/{flow}", self.upload, methods=["POST"], status_code=201, openapi_extra=takes_file()
        )
        return router

    @needs(Permission.FILES_WRITE)
    async def upload(self, request: Request, flow: str) -> Response:
        """Keep a file for the flow's runs. Give the answer's `file_path` to a file field, in the flow or as a tweak."""
        caller = await self._services.authenticator(request)
        found = await self._services.library.find(caller.tenant, flow)
        content, name = await self._sent(request)
        path = f"{found.id}/{_stamp()}_{_plain(name)}"
        await self._services.store.save_file(caller.tenant, path, content)
        return reply({"flowId": found.id, "file_path": path}, status=201)

    async def _sent(self, request: Request) -> tuple[bytes, str]:
        limit_bytes = self._services.limits.file_bytes
        bounded = limited(request, limit_bytes=limit_bytes + _FORM_OVERHEAD_BYTES)
        async with bounded.form(max_files=1, max_fields=_FORM_FIELDS_LIMIT) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise InvalidRequestError("`file`: send the file as multipart/form-data in the field `file`.")
            return await file.read(), file.filename or "file"


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d_%H-%M-%S}_{uuid.uuid4().hex[:6]}"


def _plain(name: str) -> str:
    """The file's own name, without what a path could stumble over; its suffix tells components the type."""
    path = PurePosixPath(re.sub(r"[^\w.-]", "_", name.replace("\\", "/").rpartition("/")[2]).lstrip("."))
    return f"{path.stem[:_NAME_LIMIT_CHARS] or 'file'}{path.suffix[:20]}"
