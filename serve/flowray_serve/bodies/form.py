"""A form, whole: one that was cut off is refused, or what it was cut in would silently be missing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from starlette.datastructures import FormData, Headers
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import Request

from flowray.errors import InvalidRequestError

MULTIPART, URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"


class MalformedFormError(InvalidRequestError):
    """The body is not the form that it is announced as."""

    code = "malformed_form"
    status = 400


@asynccontextmanager
async def sent_form(request: Request, *, fields: int, files: int = 0) -> AsyncIterator[FormData]:
    """What the request's form says, of at most so many fields and files; nothing when it is no form."""
    try:
        form = await _parsed(request, fields=fields, files=files)
    except MultiPartException as cause:
        raise MalformedFormError(f"The form cannot be read: {cause.message}") from cause
    try:
        yield form
    finally:
        await form.close()


async def _parsed(request: Request, *, fields: int, files: int) -> FormData:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    async with aclosing(request.stream()) as stream:
        if kind == MULTIPART:
            return await _Multipart(request.headers, stream, fields=fields, files=files).parse()
        if kind == URLENCODED:
            return await FormParser(request.headers, stream, max_fields=fields).parse()
    return FormData()


class _Multipart(MultiPartParser):
    """Starlette's parser, which by itself takes what came before a cut for all there is."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], *, fields: int, files: int) -> None:
        super().__init__(headers, self._to_the_end(stream), max_fields=fields, max_files=files)
        self._is_whole = False

    def on_end(self) -> None:
        """Note the last boundary."""
        self._is_whole = True

    async def _to_the_end(self, stream: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async for part in stream:
            yield part
        if not self._is_whole:
            raise MultiPartException("it ends before its last boundary. Send it again, whole.")
