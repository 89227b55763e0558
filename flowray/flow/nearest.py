"""The name somebody probably meant: for errors that say what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

_LONGEST = 40
_LOOKED_AT = 500


class Hints:
    """The names that were probably meant, in all that is said of one document.

    A hostile document names what is not there any number of times, and comparing takes the cube of a name's length.
    So long names are not compared, and all hints together look at so many known ones.
    """

    def __init__(self) -> None:
        self._left = _LOOKED_AT

    def meant(self, name: str, known: Iterable[str]) -> str:
        """Return " Did you mean `x`?", or nothing when no known name is close."""
        if len(name) > _LONGEST:
            return ""
        looked_at = list(islice(known, self._left))
        self._left -= len(looked_at)
        close = difflib.get_close_matches(name, [one for one in looked_at if len(one) <= _LONGEST], n=1)
        return f" Did you mean `{close[0]}`?" if close else ""


def meant(name: str, known: Iterable[str]) -> str:
    """Do what `Hints.meant` does, for an error that ends it all."""
    return Hints().meant(name, known)
