"""FLOWRAY_HOME: the folder of one FlowRay on this machine, and who runs there."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile

from flowray.errors import ConflictError, FlowRayError

_PRIVATE = 0o600
_PRIVATE_FOLDER = 0o700
# A socket's path has 107 characters at most; Ray and HAProxy append up to 72 to this one.
_RUN_PATH_LIMIT = 34
# A blank ends a word in HAProxy's configuration, a colon a path; Ray reads the path of its token as ASCII.
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9/._+@-]")
_FULL = (errno.ENOSPC, errno.EDQUOT)
_LOCK_TRIES, _LOCK_PAUSE_S = 5, 0.05


class HomeError(FlowRayError):
    """The home folder cannot be used."""

    code = "home"
    fault = "caller"
    status = 500


@dataclass(frozen=True, kw_only=True)
class Running:
    """A FlowRay that was started here: `pid` is its supervisor's, `guard` who starts that again if Ray takes it down.

    It is `ready` once it answers.
    """

    url: str
    pid: int
    ready: bool = False
    guard: int = 0


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

    @property
    def run(self) -> Path:
        """A folder for sockets and what else does not outlive the service; its path is short, whatever the home's."""
        below = self.path / "run"
        if len(str(below)) <= _RUN_PATH_LIMIT:
            return below
        return Path(f"/tmp/flowray-{os.getuid()}-{hashlib.sha256(str(self.path).encode()).hexdigest()[:8]}")  # noqa: S108 - see `prepare`

    def prepare(self) -> None:
        """Make the folders, for their owner only; `HomeError` when they cannot be made, or are another user's."""
        for folder in (self.path, self.logs, self.run):
            make_private(folder, chosen_by="FLOWRAY_HOME")

    def require_usable(self) -> None:
        """Raise `HomeError` when nothing can be started here: Ray cannot read the path, or the disk is full."""
        odd = _NOT_PLAIN.search(str(self.path))
        if odd:
            raise HomeError(
                f"The home {str(self.path)!r} has the character {odd[0]!r} in its path, which Ray and HAProxy cannot "
                "read. Choose a FLOWRAY_HOME of the letters a to z, digits and /._-+@ only."
            )
        self.prepare()
        for folder in (self.path, self.run):
            with _writing(folder, chosen_by="FLOWRAY_HOME"), TemporaryFile(dir=folder, buffering=0) as trial:
                trial.write(b"x")

    @contextmanager
    def with_room(self) -> Iterator[None]:
        """Raise `HomeError` when the disk runs full meanwhile, whoever writes."""
        try:
            yield
        except OSError as cause:
            if cause.errno not in _FULL:
                raise
            raise _unwritable(self.path, cause, chosen_by="FLOWRAY_HOME") from cause

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the one who runs here. The kernel lets go of the lock however this process ends."""
        with self._locked(self._lock):
            try:
                yield
            finally:
                self._state.unlink(missing_ok=True)
                with suppress(OSError):  # what is left in it may tell why it failed
                    self.run.rmdir()

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Be the one who starts what runs here, again and again: the home is not free in between."""
        with self._locked(self._guard_lock):
            self._write(self._guard, str(os.getpid()))
            try:
                yield
            finally:
                self._guard.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        self.prepare()
        with _writing(path, chosen_by="FLOWRAY_HOME"):
            lock = path.open("a")
        with lock:
            if not _taken(lock.fileno()):
                raise self._in_use()
            yield

    def require_free(self) -> None:
        """Raise `ConflictError` when somebody runs here, or is about to be started again."""
        self.prepare()
        if _is_held(self._lock) or _is_held(self._guard_lock):
            raise self._in_use()

    def guard(self) -> int | None:
        """The process id of who starts what runs here; None when there is none."""
        try:
            pid = int(self._guard.read_text())
        except (OSError, ValueError):
            return None
        return pid if _is_held(self._guard_lock) else None

    def _in_use(self) -> ConflictError:
        running, guard = self.running(), self.guard()
        where = f" (pid {guard}, which is to start it again)" if guard else ""
        if running:
            where = f" at {running.url} (pid {running.pid})"
        return ConflictError(f"FlowRay runs at {self.path} already{where}. Stop it with: flowray down")

    def running(self) -> Running | None:
        """Who runs here; None when nobody does, or who did has died."""
        try:
            running = Running(**json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return running if _is_held(self._lock) else None

    def note_running(self, running: Running) -> None:
        """Write down who runs here."""
        self._write(self._state, json.dumps(asdict(running)))

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
    def secret_file(self) -> Path:
        """The file of the secret that the parts of this service prove themselves with."""
        return self.path / "secret"

    def secret(self) -> str:
        """The secret, made at the first start."""
        if not self.secret_file.exists():
            self._write(self.secret_file, secrets.token_hex(32))
        return self.secret_file.read_text().strip()

    def master_keys(self, make: Callable[[], str]) -> str:
        """The master keys of a FlowRay that was given none, made at the first start."""
        file = self.path / "master.keys"
        if not file.exists():
            self._write(file, make())
        return file.read_text()

    @property
    def _state(self) -> Path:
        return self.path / "service.json"

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    @property
    def _guard(self) -> Path:
        return self.path / "guard.pid"

    @property
    def _guard_lock(self) -> Path:
        return self.path / "guard.lock"

    @property
    def _key(self) -> Path:
        return self.path / "default.key"

    def _write(self, path: Path, text: str) -> None:
        with _writing(path, chosen_by="FLOWRAY_HOME"):
            self.path.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
            write_private(path, text)


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner only, all of it or nothing; `OSError` when it cannot be."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    try:
        aside.touch(mode=_PRIVATE)
        aside.write_text(text)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def make_private(folder: Path, *, chosen_by: str) -> None:
    """Make a folder for its owner only; `HomeError` when that cannot be, or another user was there first.

    A variable chooses where.
    """
    with _writing(folder, chosen_by=chosen_by):
        folder.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise HomeError(f"`{folder}` is not a folder of yours. Remove it, or choose another {chosen_by}.")
        folder.chmod(_PRIVATE_FOLDER)


@contextmanager
def _writing(path: Path, *, chosen_by: str) -> Iterator[None]:
    """`HomeError` names what cannot be written; a variable chooses where it is."""
    try:
        yield
    except OSError as cause:
        raise _unwritable(path, cause, chosen_by=chosen_by) from cause


def _unwritable(path: Path, cause: OSError, *, chosen_by: str) -> HomeError:
    remedy = "Make room there, or choose" if cause.errno in _FULL else "Choose"
    return HomeError(f"Cannot write {cause.filename or path}: {cause.strerror}. {remedy} another {chosen_by}.")


def _is_held(path: Path) -> bool:
    try:
        with path.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _taken(lock: int) -> bool:
    """Take the lock; somebody who only looks whether it is held (`_is_held`) lets go of it at once."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_PAUSE_S)
        else:
            return True
    return False
