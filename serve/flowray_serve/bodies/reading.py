"""A request's body, read with a limit and parsed with the place of every mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.types import Message

from flowray.errors import InvalidRequestError, MalformedJsonError, RequestTooLargeError

_BOM = b"\xef\xbb\xbf"
_DIGITS_OF_A_LENGTH = 18
# A container takes 50 times its two bytes once parsed: without this bound 16 MB of `{},{},` would take 500 MB.
_CONTAINERS_LIMIT = 1_000_000
# orjson reads 1,024 levels but writes only 254, and what comes in is written again into journals and specs.
_DEPTH_LIMIT = 200
_MISTAKES_SHOWN = 5

_Body = TypeVar("_Body", bound=BaseModel)


async def read_body(request: Request, *, limit_bytes: int) -> bytes:
    """The whole body; stops reading at the limit, whatever the client announced."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and (len(declared) > _DIGITS_OF_A_LENGTH or int(declared) > limit_bytes):
        raise _too_large(limit_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
    return b"".join(parts)


def limited(request: Request, *, limit_bytes: int) -> Request:
    """The request, reading no more than the limit whoever reads it: for forms, which are parsed while they come."""
    size = 0

    async def receive() -> Message:
        nonlocal size
        message = await request.receive()
        size += len(message.get("body", b""))
        if size > limit_bytes:
            raise _too_large(limit_bytes)
        return message

    return Request(request.scope, receive)


def parse_json(body: bytes) -> Any:
    """What the body says. NaN, lone surrogates, bad UTF-8 and nesting beyond reason are refused."""
    text = body.removeprefix(_BOM)
    bound_containers([text])
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as cause:
        place = f"line {cause.lineno}, column {cause.colno}"
        raise MalformedJsonError(f"The body is not JSON: {cause.msg} ({place}).{_remedy(text)}") from cause
    _check_depth(parsed)
    return parsed


def bound_containers(texts: Iterable[bytes]) -> None:
    """Refuse what would take too much once all of it is parsed."""
    if sum(text.count(b"{") + text.count(b"[") for text in texts) > _CONTAINERS_LIMIT:
        raise RequestTooLargeError(f"The body has more than {_CONTAINERS_LIMIT:,} objects and lists.")


def parse_object(body: bytes) -> dict[str, Any]:
    """The body's JSON object; an empty body is an empty object."""
    if not body.strip():
        return {}
    parsed = parse_json(body)
    if not isinstance(parsed, dict):
        raise InvalidRequestError(f"The body must be a JSON object, not {_json_type(parsed)}.")
    return parsed


def fit(model: type[_Body], parsed: object) -> _Body:
    """`parsed` as `model`, or an error that names each field at fault."""
    try:
        return model.model_validate(parsed)
    except ValidationError as cause:
        raise InvalidRequestError(_mistakes(cause, parsed)) from cause


def _check_depth(parsed: Any) -> None:
    level: list[Any] = [[parsed]]
    for _ in range(_DEPTH_LIMIT):
        inner = (one.values() if isinstance(one, dict) else one for one in level)
        level = [value for values in inner for value in values if isinstance(value, dict | list)]
        if not level:
            return
    raise InvalidRequestError(f"The body is nested deeper than {_DEPTH_LIMIT} levels.")


def _mistakes(cause: ValidationError, parsed: object) -> str:
    errors = cause.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{_place(error, parsed)}: {error['msg']}" for error in errors[:_MISTAKES_SHOWN]]
    if len(errors) > _MISTAKES_SHOWN:
        shown.append(f"and {len(errors) - _MISTAKES_SHOWN} more")
    return "; ".join(shown) + "."


def _place(error: ErrorDetails, parsed: object) -> str:
    location = error["loc"]
    steps = [*_steps(location, parsed), *(location[-1:] if error["type"] == "missing" else ())]
    return f"`{'.'.join(str(step)[:80] for step in steps)}`" if steps else "the body"


def _steps(location: tuple[int | str, ...], parsed: Any) -> Iterator[int | str]:
    """The fields and indices of a location; pydantic puts the kinds of value that it has tried among them."""
    for part in location:
        if part in parsed if isinstance(parsed, dict) else isinstance(parsed, list) and isinstance(part, int):
            parsed = parsed[part]
            yield part


def _remedy(text: bytes) -> str:
    if b"NaN" in text or b"Infinity" in text:
        return " NaN and Infinity are not JSON: send null or a number."
    return ""


def _json_type(parsed: object) -> str:
    match parsed:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case _:
            return "a list"


def _too_large(limit_bytes: int) -> RequestTooLargeError:
    return RequestTooLargeError(f"The body is larger than {limit_bytes:,} bytes, the most this route reads.")
