"""What is given to verbs as name=value."""

from __future__ import annotations

from flowray.errors import InvalidRequestError

_EXAMPLE = "input_value=Hello or Prompt-1.template=Hi"


def pair(text: str, *, example: str = _EXAMPLE) -> tuple[str, str]:
    """Name and value."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequestError(f"`{text}` is not name=value. Example: {example}")
    return name, value
