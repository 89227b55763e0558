"""How much the machine's cores have to do."""

from __future__ import annotations

from pathlib import Path

# Of the times in the first line of /proc/stat, in ticks; see proc_stat(5).
_IDLE, _IOWAIT, _COUNTED = 3, 4, 8


class Busy:
    """The part of the cores' time that was used since it was asked last; 0 where the kernel does not say."""

    def __init__(self, file: Path = Path("/proc/stat")) -> None:
        self._file = file
        self._before = self._times()

    def __call__(self) -> float:
        """From 0 to 1, over all cores."""
        before, self._before = self._before, self._times()
        spent = [now - then for now, then in zip(self._before, before, strict=True)]
        total = sum(spent)
        return 1.0 - (spent[_IDLE] + spent[_IOWAIT]) / total if total > 0 else 0.0

    def _times(self) -> list[int]:
        try:
            with self._file.open() as file:
                return [int(word) for word in file.readline().split()[1 : _COUNTED + 1]]
        except (OSError, ValueError):
            return [0] * _COUNTED
