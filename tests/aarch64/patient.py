"""More time for what is emulated: `pytest -p tests.aarch64.patient ...`, `python -m tests.aarch64.patient run ...`."""

from __future__ import annotations

from flowray.sandbox import canaries, zygote
from flowray_serve.__main__ import main
from tests.integration.inside import host
from tests.kit import reference

_LONG_S = 3000

for where, name in (
    (zygote, "_START_S"),
    (zygote, "_LISTEN_S"),
    (canaries, "_ANSWER_S"),
    (host, "_ANSWER_S"),
    (reference, "_ANSWER_S"),
):
    setattr(where, name, _LONG_S)

if __name__ == "__main__":
    main()
