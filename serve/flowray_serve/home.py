"""FLOWRAY_HOME: the folder of one FlowRay on this machine, and who runs there."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_PRIVATE = 0o600


@dataclass(frozen=True, kw_only=True)
class Running:
    """A FlowRay that was started here: `pid` is its supervisor's."""

    url: str
    pid: int


@dataclass(frozen=True)
class Home:
    """The folder: its state, the key of the tenant `default`, logs and data below it."""

    path: Path

    @classmethod
    def of_environment(cls) -> Home:
        """The home that FLOWRAY_HOME names, by default ~/.flowray."""
        return cls(Path(os.environ.get("FLOWRAY_HOME") or Path.home() / ".flowray").expanduser().absolute())

    @property
    def logs(self) -> Path:
        """Where what was started here writes its logs."""
        return self.path / "logs"

    def running(self) -> Running | None:
        """Who runs here; None when nobody does, or who did has died."""
        try:
            running = Running(**json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return running if _is_alive(running.pid) else None

    def note_running(self, running: Running) -> None:
        """Write down who runs here."""
        self._write(self._state, json.dumps(asdict(running)))

    def note_stopped(self) -> None:
        """Nobody runs here any more."""
        self._state.unlink(missing_ok=True)

    def key(self) -> str | None:
        """The API key that the first start made."""
        try:
            return self._key.read_text().strip()
        except OSError:
            return None

    def keep_key(self, key: str) -> None:
        """Keep the key for this machine's own commands, readable by its owner only."""
        self._write(self._key, key)

    @property
    def _state(self) -> Path:
        return self.path / "service.json"

    @property
    def _key(self) -> Path:
        return self.path / "default.key"

    def _write(self, path: Path, text: str) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_suffix(".new")
        aside.touch(mode=_PRIVATE)
        aside.write_text(text)
        aside.replace(path)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
