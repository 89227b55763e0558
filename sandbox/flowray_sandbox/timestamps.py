"""lfx's timestamps: text that is one already stays as it is.

Each message has its time parsed and written again some ten times, by a parser in Python that has to be paid for page by
page. What does not look exactly as lfx itself writes it goes that way still.
"""

from __future__ import annotations

from datetime import datetime
from types import FunctionType

from lfx.schema import validators

_SIZE, _ZONE = 26, " UTC"
# A function of its own with lfx's code.
_thoroughly = FunctionType(validators.timestamp_to_str.__code__, vars(validators))


def install() -> None:
    """Give lfx's function this code: its models hold the function itself, wherever else its name were replaced."""
    vars(validators).update(_SIZE=_SIZE, _ZONE=_ZONE, _thoroughly=_thoroughly)
    validators.timestamp_to_str.__code__ = _timestamp_to_str.__code__


def _timestamp_to_str(timestamp: datetime | str) -> str:
    if type(timestamp) is str and timestamp[_SIZE:] == _ZONE and timestamp[0] != "0":
        moment = timestamp[:_SIZE]
        try:
            if datetime.fromisoformat(moment).isoformat(" ", "microseconds") == moment:
                return timestamp
        except ValueError:
            pass
    return str(_thoroughly(timestamp))
