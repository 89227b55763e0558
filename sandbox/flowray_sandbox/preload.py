"""Everything that runs need and that can be done once: imported, compiled and run through in the zygote."""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings

from flowray_sandbox.services import LFX_ENVIRONMENT


def warm() -> None:
    """Make the calling process ready to be forked: afterwards a run imports and compiles next to nothing."""
    os.environ.update(LFX_ENVIRONMENT)
    warnings.simplefilter("ignore")
    from flowray_sandbox import classes, surroundings, work  # noqa: F401 - after the environment is set: lfx reads it

    surroundings.settle()
    for name in _LAZY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for _, code in classes.shipped():
        with contextlib.suppress(Exception):
            classes.learn(code)
    classes.install()


_LAZY: tuple[str, ...] = ()
