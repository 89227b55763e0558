"""Why a journal takes no event: another engine has the run, the store has forgotten some, or all."""

from __future__ import annotations

from flowray.errors import ConflictError, StoreUnavailableError


class FencedError(ConflictError):
    """The append carries the number of a lease that is not the run's: somebody else drives it."""

    code = "fenced"


class JournalGapError(ConflictError):
    """The journal ends before the append begins: the store has lost events. `last` is the seq of the last it has."""

    code = "journal_gap"

    def __init__(self, message: str, last: int = 0) -> None:
        super().__init__(message, last)
        self.last = last


class LeaseForgottenError(StoreUnavailableError):
    """The store knows of no lease of this run, or of an older one: it has forgotten this one; claim it again."""

    code = "lease_forgotten"
