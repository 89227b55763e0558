"""What a JSON value has to be: the border where a document's values become typed, or an error that names the place."""

from __future__ import annotations

from flowray.errors import FlowFormatError
from flowray.flow.types import Json

_SHOWN_CHARS = 80
_KINDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}


def clipped(text: str) -> str:
    """A name as a message may show it: a hostile export must not fill the log."""
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def misfit(wanted: str, value: Json, *place: str | int) -> FlowFormatError:
    """Return the error that says where (from the outside in), what was expected and what was found."""
    found = _KINDS.get(type(value), "null" if value is None else type(value).__name__)
    return FlowFormatError(f"{place_text(*place)}: expected {wanted}, got {found if value != '' else 'an empty text'}.")


def place_text(*place: str | int) -> str:
    """Write a place: ("Node `a`", "template", "x") as "Node `a`, `template.x`"."""
    head, *path = [clipped(str(part)) for part in place]
    return f"{head}, `{'.'.join(path)}`" if path else head


def an_object(value: Json, *place: str | int) -> dict[str, Json]:
    """Return the object; anything else is refused."""
    if type(value) is dict:
        return value
    raise misfit("an object", value, *place)


def a_list(value: Json, *place: str | int) -> list[Json]:
    """Return the list; null counts as an empty one, anything else is refused."""
    if type(value) is list:
        return value
    if value is None:
        return []
    raise misfit("a list", value, *place)


def a_text(value: Json, *place: str | int) -> str:
    """Return the text; null counts as empty, anything else is refused."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise misfit("text", value, *place)


def a_name(value: Json, *place: str | int) -> str:
    """Return a text that says something; empty and null are refused too."""
    if type(value) is str and value:
        return value
    raise misfit("a name", value, *place)


def some_texts(value: Json, *place: str | int) -> tuple[str, ...]:
    """Return a list of texts; null counts as none."""
    texts = a_list(value, *place)
    for index, text in enumerate(texts):
        if type(text) is not str:
            raise misfit("text", text, *place, index)
    return tuple(texts)
