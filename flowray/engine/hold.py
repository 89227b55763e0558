"""An engine's hold on a run: under which lease it writes, and how it is told to let go without ending the run."""

from __future__ import annotations


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

    def leave(self) -> None:
        """Start no further step; once those that run are over, let go."""
        self.leaving = True

    def abandon(self) -> None:
        """The run is another's: whoever is cancelled after this writes nothing more."""
        self.abandoned = True
