"""The file of a batch's results: what is read as such, and what happens where nothing can be written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowray.client.batch import Ended
from flowray.errors import InvalidRequestError
from flowray_serve.cli.results_file import ResultsFile

HEAD = '{"batch": "b", "flow": "echo"}'
ROW = '{"line": 1, "status": "failed"}'


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    ended = Ended(line=1, status="succeeded", digest="0123456789abcdef", text="Grüße")
    with ResultsFile(tmp_path / "out", flow="echo") as results:
        results.add(ended)

    again = ResultsFile(tmp_path / "out", flow="echo")

    assert again.name == results.name
    assert again.rows == [{"line": 1, "status": "succeeded", "digest": "0123456789abcdef", "text": "Grüße"}]


@pytest.mark.parametrize(
    ("lines", "at"),
    [
        ((ROW,), 1),
        (('{"batch": ["b"], "flow": "echo"}',), 1),
        ((HEAD, ROW, HEAD), 3),
        ((HEAD, '{"line": [1], "status": "failed"}'), 2),
        ((HEAD, '{"line": 1, "status": ["failed"]}'), 2),
        ((HEAD, "", ROW), 2),
        ((HEAD, "[" * 200_000), 2),
    ],
    ids=lambda one: str(one)[-40:],
)
def test_a_line_that_is_no_result_is_named(tmp_path: Path, lines: tuple[str, ...], at: int) -> None:
    out = tmp_path / "out"
    out.write_text("".join(f"{line}\n" for line in lines))

    with pytest.raises(InvalidRequestError, match=re.escape(f"(line {at}: `{lines[at - 1][:60]}`)")):
        ResultsFile(out, flow="echo")


def test_a_device_is_written_to_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it would never end"))
    full = ResultsFile(Path("/dev/full"), flow="echo")

    with pytest.raises(InvalidRequestError, match="Cannot write /dev/full: No space left on device"):
        full.__enter__()


def test_a_disk_that_is_full_later_on_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResultsFile, "_read", lambda _: [{"batch": "b", "flow": "echo"}])

    with (
        pytest.raises(InvalidRequestError, match="Cannot write /dev/full: No space left on device"),
        ResultsFile(Path("/dev/full"), flow="echo") as full,
    ):
        full.add(Ended(line=1, status="succeeded"))
