"""What every run needs of the process it is forked from: lfx, imported, in the surroundings that it has here.

All that `preload` does beyond this makes runs quicker, and takes its time: a zygote of one run goes without.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from types import ModuleType
from typing import Any

from flowray_sandbox.environment import LFX_ENVIRONMENT


def warm() -> None:
    """Make a process ready for a run or two. Components that lfx ships are compiled when one asks for them."""
    settle()
    from flowray_sandbox import classes  # imports lfx

    classes.note_shipped()


def settle() -> None:
    """Import lfx and settle it here."""
    os.environ.update(LFX_ENVIRONMENT)
    warnings.simplefilter("ignore")
    # After the environment is set: lfx reads it.
    from flowray_sandbox import classes, flows, lean, surroundings, written_files

    surroundings.settle()
    flows.install()
    written_files.install()
    for name in _THREADED:
        _defer(name)
    classes.install()
    lean.install()


class _Deferred(ModuleType):
    """Stands in for a module until somebody reads from it.

    The standard library's lazy loader would not do: an import statement alone makes it load.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        del sys.modules[self.__name__]
        real = importlib.import_module(self.__name__)
        vars(self).update(vars(real))
        return getattr(real, name)


def _defer(name: str) -> None:
    found = importlib.util.find_spec(name)
    if found is not None and name not in sys.modules:
        stand_in = _Deferred(name)
        stand_in.__spec__, stand_in.__file__ = found, found.origin
        sys.modules[name] = stand_in


# Importing these starts threads, and a process with threads must not be forked: they are imported when first used.
# `magika` guesses file types for `markitdown`, with a model run by `onnxruntime`.
_THREADED = ("magika",)
