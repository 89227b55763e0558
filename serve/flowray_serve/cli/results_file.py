"""The file of a batch's results: JSON Lines, written as runs end, and read again by who goes on."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

from flowray.client.batch import Ended
from flowray.errors import InvalidRequestError
from flowray_serve.cli.writing import writing


class ResultsFile:
    """Of the batch `name` (one of its own, unless said) of a flow, at `path` or on stdout.

    Its first line says which batch it is, so that it goes on as the same one. `rows` are the results it had before.
    """

    def __init__(self, path: Path | None, *, flow: str, name: str = "") -> None:
        self._path = path
        self._flow = flow
        head, *self.rows = self._read() or [{}]
        if head and head.get("flow") != flow:
            raise InvalidRequestError(f"{path} holds something else than results of `{flow}`: name another file.")
        if head and name not in ("", head["batch"]):
            raise InvalidRequestError(f"{path} holds results of the batch `{head['batch']}`: leave out --name.")
        self.name: str = name or head.get("batch") or f"batch-{uuid.uuid4()}"
        self._is_new = not head
        self._file: IO[str] = sys.stdout

    def add(self, ended: Ended) -> None:
        """Write what became of an item."""
        self._write({name: value for name, value in asdict(ended).items() if value != ""})

    def __enter__(self) -> Self:
        if self._path is not None:
            with writing(self._path):
                self._file = self._path.open("a", encoding="utf-8")
        try:
            if self._is_new:
                self._write({"batch": self.name, "flow": self._flow})
        except InvalidRequestError:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._path is not None:
            with writing(self._path):  # what could not be written is tried once more
                self._file.close()

    def _write(self, row: Mapping[str, Any]) -> None:
        with writing(self._path or Path("stdout")):
            print(json.dumps(row, ensure_ascii=False), file=self._file, flush=True)

    def _read(self) -> Sequence[Mapping[str, Any]]:
        """What is there. Who was killed while writing left half a line: it is taken away."""
        if self._path is None:
            return []
        with writing(self._path):
            if not self._path.is_file():  # a device may have no end
                return []
            *lines, half = self._path.read_bytes().split(b"\n")
            try:
                rows = [_row(at, line) for at, line in enumerate(lines, 1)]
                _check_half(half)
            except ValueError as cause:
                told = f"{self._path} holds no results of a batch ({cause}): name another file."
                raise InvalidRequestError(told) from None
            if half:
                os.truncate(self._path, sum(len(line) + 1 for line in lines))
        return rows


def _row(at: int, line: bytes) -> Mapping[str, Any]:
    """The row in a line: what batch it is in the first one, a result in others; else `ValueError`."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or not (isinstance(row.get("batch"), str) if at == 1 else _is_result(row)):
        raise ValueError(f"line {at}: {_shown(line)}")
    return row


def _is_result(row: Mapping[str, Any]) -> bool:
    return type(row.get("line")) is int and isinstance(row.get("status"), str)


def _check_half(line: bytes) -> None:
    """What has no line's end must be the beginning of a row."""
    if not any(line.startswith(start) or start.startswith(line) for start in (b'{"batch": ', b'{"line": ')):
        raise ValueError(_shown(line))


def _shown(line: bytes) -> str:
    return f"`{line[:60].decode(errors='replace')}`"
