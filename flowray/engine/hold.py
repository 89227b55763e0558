"""An engine's hold on a run: under which lease it writes, and how it is told to let go without ending the run."""

from __future__ import annotations

from collections.abc import Callable


class RunLeftError(Exception):
    """The run was let go of at a border between steps; whoever takes it next goes on from its journal."""


class Hold:
    """What a drive looks at before it starts a step, and before it ends its run.

    `lease` is 0 for a run that nobody else could take.
    """

    def __init__(self, lease: int = 0) -> None:
        self.lease = lease
        self.leaving = False
        self.abandoned = False
        self._when_forgotten: Callable[[], object] = lambda: None

    def leave(self) -> None:
        """Start no further step; once those that run are over, let go."""
        self.leaving = True

    def when_forgotten(self, act: Callable[[], object]) -> None:
        """Have this done when the store may have lost what was written under the lease."""
        self._when_forgotten = act

    def forgotten(self) -> None:
        """The store was emptied, or started again; the lease holds."""
        self._when_forgotten()

    def abandon(self) -> None:
        """The run is another's: whoever is cancelled after this writes nothing more."""
        self.abandoned = True
