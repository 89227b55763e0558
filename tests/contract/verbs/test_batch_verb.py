"""`flowray batch` against a service over a real connection: what they print, and how they end."""

from __future__ import annotations

import json
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tests.contract.verbs.command_line import failing, flowray
from tests.unit.serve.service import Service


def test_a_batch_goes_on_where_it_was_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str, inputs: str, tmp_path: Path
) -> None:
    out = tmp_path / "results.jsonl"
    assert flowray(monkeypatch, "batch", echo, inputs, "--out", str(out)) == 0
    head, *rows = map(json.loads, out.read_text().splitlines())
    # As if it had been killed while it wrote the second result.
    left = [json.dumps(head), json.dumps(rows[0]), json.dumps(rows[1])[:20]]
    out.write_text("\n".join(left))
    capsys.readouterr()

    assert flowray(monkeypatch, "batch", echo, inputs, "--out", str(out), "--json") == 0

    assert json.loads(capsys.readouterr().out) == {"batch": head["batch"], "items": 2, "succeeded": 2}
    assert head["flow"] == "echo"
    assert {row["text"] for row in rows} == {"one", "two"}
    assert [*map(json.loads, out.read_text().splitlines())] == [head, *rows], "the same run is told again"


def test_a_batch_tells_what_failed_on_stdout(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str, tmp_path: Path
) -> None:
    made.steps.script = failing
    (tmp_path / "inputs.jsonl").write_text('"one"\n')

    assert flowray(monkeypatch, "batch", echo, str(tmp_path / "inputs.jsonl")) == 1

    head, row = map(json.loads, capsys.readouterr().out.splitlines())
    assert head["flow"] == "echo"
    assert (row["line"], row["status"], "no key" in row["error"]) == (1, "failed", True)


@pytest.mark.parametrize(
    ("content", "more"),
    [
        ("kept: yes\n", ()),
        ("kept: yes", ()),
        ('{"batch": "b", "flow": "other"}\n', ()),
        ('{"batch": "b", "flow": "echo"}\n', ("--name", "c")),
    ],
)
def test_a_file_of_something_else_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    inputs: str,
    tmp_path: Path,
    content: str,
    more: tuple[str, ...],
) -> None:
    out = tmp_path / "notes.txt"
    out.write_text(content)

    assert flowray(monkeypatch, "batch", "echo", inputs, "--out", str(out), *more) == 2

    assert str(out) in capsys.readouterr().err
    assert out.read_text() == content


@pytest.mark.parametrize("is_piped", [True, False])
def test_a_line_of_the_inputs_that_is_no_text_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, *, is_piped: bool
) -> None:
    content = b'"one"\n"\xff"\n'
    (tmp_path / "inputs.jsonl").write_bytes(content)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(content), encoding="utf-8", errors="surrogateescape"))

    assert flowray(monkeypatch, "batch", "echo", "-" if is_piped else str(tmp_path / "inputs.jsonl")) == 2

    assert "Line 2 of the inputs is not UTF-8" in capsys.readouterr().err


def test_inputs_may_begin_with_a_mark_of_their_encoding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str, tmp_path: Path
) -> None:
    (tmp_path / "inputs.jsonl").write_bytes('"Grüße"\r\n'.encode("utf-8-sig"))

    assert flowray(monkeypatch, "batch", echo, str(tmp_path / "inputs.jsonl")) == 0

    assert json.loads(capsys.readouterr().out.splitlines()[1])["text"] == "Grüße"


def test_a_batch_of_a_flow_that_is_not_there_leaves_no_results(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], inputs: str, tmp_path: Path
) -> None:
    out = tmp_path / "results.jsonl"

    assert flowray(monkeypatch, "batch", "nobody", inputs, "--out", str(out)) == 2

    assert "nobody" in capsys.readouterr().err
    assert not out.exists()


def test_a_batch_does_not_go_on_with_other_inputs(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str, inputs: str
) -> None:
    out = Path(inputs).with_name("results.jsonl")
    assert flowray(monkeypatch, "batch", echo, inputs, "--out", str(out)) == 0
    kept, runs = out.read_text(), len(made.steps.requests)
    Path(inputs).write_text('"one"\n"three"\n"four"\n')

    assert flowray(monkeypatch, "batch", echo, inputs, "--out", str(out)) == 2

    assert "Line 2 of the inputs" in capsys.readouterr().err
    assert (out.read_text(), len(made.steps.requests)) == (kept, runs)
