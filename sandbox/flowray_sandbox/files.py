"""Uploaded files: the spec brings them as blobs, components find them under the paths that the flow names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from flowray_sandbox.failures import JobFailedError


def write(files: Mapping[str, int], blobs: list[bytes]) -> None:
    """Write each file below the working directory, which is the sandbox's own; lfx resolves its paths from there."""
    for name, blob in files.items():
        path = Path.cwd() / _relative(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blobs[blob])


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    here = PurePosixPath(Path.cwd())
    path = path.relative_to(here) if path.is_relative_to(here) else path
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise JobFailedError(f"The file path `{name}` does not lie in the sandbox's folder.", kind="value")
    return path
