"""The world outside the walls, as far as this run may ask it: over the one channel that the process has."""

from __future__ import annotations

from typing import Any

from flowray_sandbox.channel import Channel

# A process serves one run; before that there is nobody to speak to.
_channel: list[Channel] = []


class NobodyToAskError(Exception):
    """The process has no run, and so no channel."""


def connect(channel: Channel) -> None:
    """From now on, this is the way out."""
    _channel[:] = [channel]


async def ask(what: str, *, blob: bytes | None = None, **details: Any) -> Any:
    """Ask and wait for the answer; raises what the host refused with."""
    answer, _ = await _line().ask(what, details, blob)
    return answer


async def fetch(what: str, **details: Any) -> bytes:
    """Ask for bytes."""
    _, content = await _line().ask(what, details)
    return content


def ask_now(what: str, **details: Any) -> Any:
    """Ask and block this thread until the answer is there: for code that cannot wait otherwise."""
    answer, _ = _line().ask_now(what, details)
    return answer


async def find(what: str, **details: Any) -> tuple[Any, bytes]:
    """Ask for something that has both a description and bytes."""
    return await _line().ask(what, details)


def find_now(what: str, **details: Any) -> tuple[Any, bytes]:
    """Ask for it and block this thread until the answer is there."""
    return _line().ask_now(what, details)


def tell(what: str, *, blob: bytes | None = None, **details: Any) -> None:
    """Tell something, and go on."""
    _line().tell(what, details, blob)


def _line() -> Channel:
    if not _channel:
        raise NobodyToAskError("This code runs outside of any run, where nobody can be asked.")
    return _channel[0]
