"""Environment images: the locked set of packages that flows may import, apart from the service's own.

An image is a folder of packages, named after its lock and the digest of that lock, with an `image.json` beside them.
It is built aside and renamed into place, so an image that can be found is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowray.component.inside import inside_package
from flowray.errors import ImageError, UnknownImageError
from flowray.sandbox.interpreter import Interpreter, interpreters

_RECORD = "image.json"
_LAST_LINES = 15


@dataclass(frozen=True, kw_only=True)
class Image:
    """A complete environment image: which interpreter runs which packages."""

    name: str
    digest: str
    python: Path
    site_packages: Path
    base_prefix: Path


def default_lock() -> Path:
    """The lock of the default image, shipped beside the code that runs inside."""
    return _locks() / "default.txt"


def shipped_images() -> tuple[str, ...]:
    """The names of the images whose locks are shipped."""
    return tuple(sorted(lock.stem for lock in _locks().glob("*.txt")))


def lock_of(name: Path | None) -> Path:
    """The lock that a setting or a command names: a shipped image's by its name, any other by its path."""
    if name is None:
        return default_lock()
    shipped = _locks() / f"{name}.txt"
    return shipped if len(name.parts) == 1 and not name.exists() and shipped.is_file() else name


def _locks() -> Path:
    return inside_package() / "images"


def default_packages() -> tuple[str, ...]:
    """The distributions that the default image is made from: what lfx's own components import, declared or not."""
    lines = (line.partition("#")[0].strip() for line in (default_lock().with_suffix(".in")).read_text().splitlines())
    return tuple(re.split(r"[^\w.-]", line)[0] for line in lines if line)


def default_root() -> Path:
    """Where images are kept unless the settings name another folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "flowray" / "images"


def find_image(lock: Path | None = None, root: Path | None = None) -> Image:
    """The built image of this lock (see `lock_of`), or an `ImageError` that says how to build it."""
    lock = lock_of(lock)
    folder = (root or default_root()) / _folder_name(lock)
    record = folder / _RECORD
    if not record.is_file():
        raise ImageError(
            f"The environment image `{lock.stem}` is not built ({folder} is missing). Build it: {_command(lock)}"
        )
    return _read(record)


def build_image(
    lock: Path | None = None, root: Path | None = None, *, progress: Callable[[str], None] = lambda _: None
) -> Image:
    """Build the image of this lock unless it is there: exact versions, checked hashes, compiled bytecode."""
    lock, root = lock_of(lock), root or default_root()
    folder = root / _folder_name(lock)
    if (folder / _RECORD).is_file():
        return _read(folder / _RECORD)
    root.mkdir(parents=True, exist_ok=True)
    progress(f"Building the environment image `{lock.stem}` in {folder}")
    *better, own = interpreters()
    for interpreter in better:
        try:
            return _build(lock, folder, interpreter, progress)
        except ImageError as failure:
            progress(f"Not with {interpreter.python}: {failure.message}")
    return _build(lock, folder, own, progress)


def _build(lock: Path, folder: Path, interpreter: Interpreter, progress: Callable[[str], None]) -> Image:
    progress(f"Its Python is {interpreter.python}")
    with tempfile.TemporaryDirectory(prefix=f".{lock.stem}-", dir=folder.parent) as aside:
        built = Path(aside) / "image"
        packages = built / "site-packages"
        packages.mkdir(parents=True)
        _install(lock, packages, interpreter, progress)
        _write(built / _RECORD, lock, interpreter)
        _put_in_place(built, folder)
    return _read(folder / _RECORD)


def _folder_name(lock: Path) -> str:
    return f"{lock.stem}-{_digest(lock)[:12]}"


def _digest(lock: Path) -> str:
    """Same lock and kind of machine, same digest. Which Python an image was built for, it says itself."""
    if not lock.is_file():
        names = ", ".join(f"`{name}`" for name in shipped_images())
        raise UnknownImageError(f"The image lock {lock} does not exist. Name an existing lock file, or one of {names}.")
    return hashlib.sha256(lock.read_bytes() + b"\0" + platform.machine().encode()).hexdigest()


def _command(lock: Path) -> str:
    if lock == default_lock():
        return "flowray image build"
    return f"flowray image build {lock.stem if lock == lock_of(Path(lock.stem)) else lock}"


def _write(record: Path, lock: Path, interpreter: Interpreter) -> None:
    facts = {"name": lock.stem, "digest": _digest(lock), "site_packages": "site-packages"}
    where = {"python": str(interpreter.python), "base_prefix": str(interpreter.base_prefix)}
    record.write_text(json.dumps({**facts, **where}, indent=2))


def _read(record: Path) -> Image:
    try:
        facts = json.loads(record.read_text())
        image = Image(
            name=facts["name"],
            digest=facts["digest"],
            python=Path(facts["python"]),
            site_packages=(record.parent / facts["site_packages"]).resolve(),
            base_prefix=Path(facts["base_prefix"]),
        )
    except (ValueError, KeyError, TypeError) as cause:
        raise ImageError(f"{record} is not readable. Remove {record.parent} and run: flowray image build") from cause
    if not image.python.is_file():
        raise ImageError(f"The image's {image.python} is gone. Remove {record.parent} and run: flowray image build")
    return image


def _put_in_place(built: Path, folder: Path) -> None:
    try:
        built.rename(folder)
    except OSError:
        # Another build of the same lock was faster: its image is as good as this one.
        if not (folder / _RECORD).is_file():
            raise


def _install(lock: Path, packages: Path, interpreter: Interpreter, progress: Callable[[str], None]) -> None:
    """Install with uv when there is one, else with the pip of a throw-away environment."""
    wanted = ["--require-hashes", "--no-deps", "--target", str(packages), "-r", str(lock)]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv:
        _run([uv, "pip", "install", "--python", str(interpreter.python), "--compile-bytecode", *wanted], progress)
        return
    apart = packages.parent.parent / "pip"
    _run([str(interpreter.python), "-m", "venv", str(apart)], progress)
    _run([str(apart / "bin" / "python"), "-m", "pip", "install", "--quiet", "--compile", *wanted], progress)


def _run(command: Sequence[str], progress: Callable[[str], None]) -> None:
    """Run to the end and pass on each line as it is said, since an install takes minutes."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:  # noqa: S603
        for line in running.stdout or ():
            last.append(line.rstrip())
            progress(line.rstrip())
    if running.returncode:
        said = "\n".join(last)
        raise ImageError(f"The environment image could not be built: `{command[0]}` said\n{said}")
