"""Something done in a fork that is thrown away: the zygote learns what came of it and stays as it was."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from flowray_sandbox import syscalls


def tried(act: Callable[[], bytes]) -> bytes:
    """What `act` returns in a fork of this process; `RuntimeError`: it failed there."""
    reader, writer = os.pipe()
    child = syscalls.fork()
    if child == 0:
        status = 1
        try:
            with os.fdopen(writer, "wb") as told:
                told.write(act())
            status = 0
        except BaseException:  # noqa: BLE001 - it must not return into the zygote's work
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        found = told.read()
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("What was tried in a fork failed; see above.")
    return found
