"""A file in a request: as a form's field `file`, or for those who send it so, as the whole body."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.requests import Request

from flowray.errors import InvalidRequestError
from flowray_serve.bodies.form import MULTIPART, sent_form
from flowray_serve.bodies.reading import limited, read_body

_FORM_FIELDS_LIMIT = 10
_FORM_OVERHEAD_BYTES = 16 * 1024


class NoFileError(InvalidRequestError):
    """The request brings no file."""

    code = "no_file"
    status = 400


@dataclass(frozen=True, kw_only=True)
class Uploaded:
    """A file as it came."""

    name: str
    content: bytes


async def uploaded(request: Request, *, limit_bytes: int) -> Uploaded:
    """The file of a form; of a request that is no form, the body itself, without a name."""
    if not request.headers.get("content-type", "").lower().startswith(MULTIPART):
        content = await read_body(request, limit_bytes=limit_bytes)
        if not content:
            raise NoFileError("No file provided: send it as multipart/form-data in the field `file`.")
        return Uploaded(name="", content=content)
    return await form_file(request, limit_bytes=limit_bytes)


async def form_file(request: Request, *, limit_bytes: int) -> Uploaded:
    """The file in the field `file` of a form."""
    bounded = limited(request, limit_bytes=limit_bytes + _FORM_OVERHEAD_BYTES)
    async with sent_form(bounded, fields=_FORM_FIELDS_LIMIT, files=1) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequestError("`file`: send the file as multipart/form-data in the field `file`.")
        return Uploaded(name=file.filename or "file", content=await file.read())
