"""Secrets stay with their run: what a sandbox says is searched for them before it leaves the runner.

This keeps accidents out of journals and logs, not a component that wants to tell: it can spell a secret otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from flowray.flow.types import Json

STARS = "*****"
_SHORTEST = 4  # a shorter one is found in too many innocent words


class Mask:
    """The secrets of one run."""

    def __init__(self, secrets: Iterable[str]) -> None:
        # The longest first, or a secret that begins like another would leave its tail.
        self._secrets = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
        self._spellings = [spelling for secret in self._secrets for spelling in _spellings(secret)]

    def found_in(self, raw: bytes) -> bool:
        """Tell whether JSON text or raw bytes hold a secret: fast, since most never do."""
        return any(spelling in raw for spelling in self._spellings)

    def text(self, text: str) -> str:
        """Return the text with stars for secrets."""
        for secret in self._secrets:
            text = text.replace(secret, STARS)
        return text

    def json(self, value: Json) -> Json:
        """Return the value with stars for secrets; keys stay, since they are the shape that readers rely on."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.json(item) for item in value]
            case dict():
                return {key: self.json(item) for key, item in value.items()}
            case _:
                return value


def _spellings(secret: str) -> Iterable[bytes]:
    """How JSON may spell it: characters as they are or escaped; and as it stands in raw bytes."""
    escaped = (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    return {text.encode("utf-8", "surrogatepass") for text in (*escaped, secret)}
