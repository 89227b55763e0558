"""Which values a field of numbers surely cannot take: a run with one of them fails in the component's inputs."""

from __future__ import annotations

from collections.abc import Mapping

from flowray.flow.types import Field, Json

# lfx makes a truth of any text, so nothing is unfit for a switch; and a slider keeps a text that is no number.
_CLASSES = {"int": "IntInput", "float": "FloatInput", "slider": "SliderInput"}


def wanted(field: Field, raw: Mapping[str, Json]) -> str | None:
    """What the field takes instead of its value; None where lfx may take it.

    In doubt lfx is to say: of a class that is not known, or a value that is a variable's, one of several, or not read.
    """
    if raw.get("_input_type") != _CLASSES.get(field.type, "") or field.load_from_db or field.is_list or not field.show:
        return None
    if _fits(field.type, field.value):
        return None
    return "a whole number" if field.type == "int" else "a number"


def _fits(kind: str, value: Json) -> bool:
    if not isinstance(value, str):
        return value is None or isinstance(value, int | float)
    if kind == "slider" or not value.strip():
        return True
    try:
        _ = _whole(value) if kind == "int" else float(value)
    except (ValueError, OverflowError):
        return False
    return True


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return int(float(text))
