"""What the processes of a service say: one JSON object a line, with its `action` and the tenant, run or node."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pythonjsonlogger.orjson import OrjsonFormatter

from flowray_serve.builds.plant import Plant
from flowray_serve.home import make_private

_SPOKEN = ("flowray", "flowray_serve", "flowray_registry")
_FIELDS = {"levelname": "severity", "name": "logger"}
_MIB, _DAY_S = 1024 * 1024, 86_400.0


def keep_log(plant: Plant, name: str) -> None:
    """Have this process write what it says to `NAME.log`; files of processes that are long gone are removed."""
    folder, settings = log_folder(plant), plant.settings.logs
    _sweep(folder, older_than_s=settings.days * _DAY_S)
    handler = _Rolling(
        folder / f"{name}.log", maxBytes=settings.file_mib * _MIB, backupCount=settings.files - 1, encoding="utf-8"
    )
    handler.setFormatter(
        OrjsonFormatter("{levelname}{name}{message}", style="{", rename_fields=_FIELDS, timestamp="at")
    )
    for spoken in _SPOKEN:
        logger = logging.getLogger(spoken)
        logger.handlers = [handler]
        logger.setLevel(settings.level)
        logger.propagate = False


class _Rolling(RotatingFileHandler):
    """Begins a new file once one is full. The standard one formats each line twice, to see whether it would fit."""

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - logging's
        """Whether the file is full."""
        del record
        if self.stream is None:
            self.stream = self._open()
        return os.fstat(self.stream.fileno()).st_size >= self.maxBytes


def log_folder(plant: Plant) -> Path:
    """Return where this machine keeps its logs; the home is a folder of the machine that `flowray up` was called on."""
    if plant.settings.ray.address is None:
        plant.logs.mkdir(parents=True, exist_ok=True)
        return plant.logs
    folder = Path(tempfile.gettempdir()) / f"flowray-logs-{os.getuid()}"
    make_private(folder, chosen_by="TMPDIR")
    return folder


def _sweep(folder: Path, *, older_than_s: float) -> None:
    too_old = time.time() - older_than_s
    for file in folder.glob("*.log*"):
        try:
            if file.stat().st_mtime < too_old:
                file.unlink()
        except FileNotFoundError:
            continue  # another process was faster
