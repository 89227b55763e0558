"""Files for a flow's runs, in the shapes of Langflow's v1."""

from __future__ import annotations

import mimetypes
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from flowray.errors import InvalidRequestError
from flowray.tenancy.permissions import Permission
from flowray_serve.answers.service import Message
from flowray_serve.answers.stored import FlowFile, FlowFiles
from flowray_serve.auth import needs
from flowray_serve.bundle import attachment
from flowray_serve.own_files import plain_name
from flowray_serve.replies import reply
from flowray_serve.routes.openapi import gives, says, takes_file
from flowray_serve.routes.uploads import form_file
from flowray_serve.services import Services

# What a browser would run as a page of this origin never leaves as anything but a download.
_AS_FILE: Mapping[str, str] = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}


class FileRoutes:
    """The handlers of `/api/v1/files`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/api/v1/files", tags=["files"])
        router.add_api_route(
            "/upload/{flow}",
            self.upload,
            methods=["POST"],
            status_code=201,
            openapi_extra=takes_file(),
            responses=says(FlowFile, status=201),
        )
        router.add_api_route("/list/{flow}", self.list, methods=["GET"], responses=says(FlowFiles))
        router.add_api_route(
            "/download/{flow}/{file}",
            self.download,
            methods=["GET"],
            response_class=Response,
            responses=gives("application/octet-stream"),
        )
        router.add_api_route(
            "/images/{flow}/{file}", self.image, methods=["GET"], response_class=Response, responses=gives("image/*")
        )
        router.add_api_route("/delete/{flow}/{file}", self.delete, methods=["DELETE"], responses=says(Message))
        return router

    @needs(Permission.FILES_WRITE)
    async def upload(self, request: Request, flow: str) -> Response:
        """Keep a file for the flow's runs. Give the answer's `file_path` to a file field, in the flow or as a tweak."""
        caller = await self._services.authenticator(request)
        found = await self._services.library.find(caller.tenant, flow)
        file = await form_file(request, limit_bytes=self._services.limits.file_bytes)
        path = f"{found.id}/{_stamp()}_{plain_name(file.name)}"
        await self._services.store.save_file(caller.tenant, path, file.content)
        return reply({"flowId": found.id, "file_path": path}, status=201)

    @needs(Permission.FILES_READ)
    async def list(self, request: Request, flow: str) -> Response:
        """The names of the flow's files."""
        caller = await self._services.authenticator(request)
        found = await self._services.library.find(caller.tenant, flow)
        return reply({"files": await self._services.store.file_names(caller.tenant, found.id)})

    @needs(Permission.FILES_READ)
    async def download(self, request: Request, flow: str, file: str) -> Response:
        """One file."""
        content = await self._content(request, flow, file)
        return Response(content, media_type="application/octet-stream", headers=attachment(file))

    @needs(Permission.FILES_READ)
    async def image(self, request: Request, flow: str, file: str) -> Response:
        """One file that is an image, as such."""
        content = await self._content(request, flow, file)
        kind = mimetypes.guess_type(file)[0] or "application/octet-stream"
        if not kind.startswith("image/"):
            raise InvalidRequestError(f"`{file[:200]}` is no image: its type is {kind}. Download it instead.")
        return Response(content, media_type=kind, headers=dict(_AS_FILE))

    @needs(Permission.FILES_WRITE)
    async def delete(self, request: Request, flow: str, file: str) -> Response:
        """Remove a file; it may be gone already."""
        caller = await self._services.authenticator(request)
        found = await self._services.library.find(caller.tenant, flow)
        await self._services.store.delete_file(caller.tenant, f"{found.id}/{file}")
        return reply({"message": f"File {file} deleted successfully"})

    async def _content(self, request: Request, flow: str, file: str) -> bytes:
        caller = await self._services.authenticator(request)
        found = await self._services.library.find(caller.tenant, flow)
        return await self._services.store.read_file(caller.tenant, f"{found.id}/{file}")


def _stamp() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d_%H-%M-%S}_{uuid.uuid4().hex[:6]}"
