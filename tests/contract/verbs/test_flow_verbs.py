"""Verbs of published flows against a service over a real connection: what they print, and how they end."""

from __future__ import annotations

import json
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from flowray.client import Client, version_calls
from tests.contract.verbs.command_line import flowray
from tests.unit.serve.service import ECHO, KEY, canvas, drawn


def test_a_compact_file_that_cannot_be_expanded_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "many.flow"
    file.write_text("name: Many\n\nnodes:\n" + "".join(f"  A{number}: ChatInput\n" for number in range(2_001)))

    assert flowray(monkeypatch, "publish", str(file)) == 2
    assert str(file) in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [("tag", "echo", "..", "--remove"), ("forget", "echo", ".."), ("tag", "echo", "a/b"), ("list", "")]
)
def test_what_is_no_name_is_refused_and_the_flow_stays(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, echo: str, words: tuple[str, ...]
) -> None:
    assert flowray(monkeypatch, "versions", *words) == 2

    assert "neither a name nor an id" in capsys.readouterr().err
    with Client(url, KEY) as client:
        assert client.flow(echo).name == "Echo"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("v1", "--share", "0.5"), "name that as well"),
        (("--remove", "--canary", "v2"), "not both"),
        (("--remove", "--share", "0.5"), "not both"),
    ],
)
def test_a_canary_does_not_end_by_options_that_do_not_go_together(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    url: str,
    echo: str,
    words: tuple[str, ...],
    says: str,
) -> None:
    with Client(url, KEY) as client:
        client.ask(version_calls.describe(echo, "first"))
        kept = client.ask(version_calls.keep(echo, {"nodes": [], "edges": []}, "second"))
    assert flowray(monkeypatch, "versions", "tag", echo, "prod", "v1", "--canary", "v2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["canary"] == {"version": kept["version"], "share": 0.1}

    assert flowray(monkeypatch, "versions", "tag", echo, "prod", *words) == 2

    assert says in capsys.readouterr().err
    with Client(url, KEY) as client:
        (entry, _) = client.ask(version_calls.versions(echo))["entries"]
    assert entry["canary_of"] == {"prod": 0.1}


def test_flows_are_listed_with_what_they_are_run_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, echo: str
) -> None:
    with Client(url, KEY) as client:
        later = client.publish({**ECHO, "name": "An echo"})
        first = client.flow(echo)

    assert flowray(monkeypatch, "flows", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert flowray(monkeypatch, "flows") == 0
    head, *rows = capsys.readouterr().out.splitlines()

    assert [(flow["id"], flow["endpoint_name"]) for flow in found] == [(later.id, None), (first.id, echo)]
    assert head.split() == ["NAME", "ENDPOINT", "NAME", "ID", "CHANGED"]
    assert rows[1].split() == ["Echo", "echo", first.id, *first.updated_at[:19].split("T")]
    assert len(rows) == len(found)


def test_a_flow_on_standard_input_is_published(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str
) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(json.dumps({**ECHO, "endpoint_name": "piped"}).encode())))

    assert flowray(monkeypatch, "publish", "-") == 0

    with Client(url, KEY) as client:
        assert client.flow("piped").name == "Echo"


@pytest.mark.parametrize(
    ("content", "names"), [("{", "not JSON"), ('{"data": {"nodes": [], "edges": []}}', "no `name`")]
)
def test_what_is_no_flow_on_standard_input_is_told_to_be_from_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str, names: str
) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(content.encode())))

    assert flowray(monkeypatch, "publish", "-") == 2

    said = capsys.readouterr().err
    assert said.startswith("flowray: standard input: ")
    assert names in said


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_flows_before_one_that_the_service_refuses_are_published_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, form: tuple[str, ...]
) -> None:
    good, refused = tmp_path / "good.json", tmp_path / "refused.json"
    good.write_text(json.dumps({**ECHO, "name": "Before"}))
    refused.write_text(json.dumps({**canvas({**drawn("A-1"), "data": {"node": 5}}), "name": "Refused"}))

    assert flowray(monkeypatch, "publish", str(good), str(refused), *form) == 2

    assert "Before" in capsys.readouterr().out


def test_a_file_that_cannot_be_read_keeps_those_before_it_from_being_published(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, tmp_path: Path
) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps({**ECHO, "name": "Too soon"}))

    assert flowray(monkeypatch, "publish", str(good), str(tmp_path / "gone.json")) == 2

    assert not capsys.readouterr().out
    with Client(url, KEY) as client:
        assert "Too soon" not in {one.name for one in client.flows()}


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_flow_with_errors_is_published_and_fails_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], url: str, tmp_path: Path, form: tuple[str, ...]
) -> None:
    file = tmp_path / "broken.json"
    broken = canvas(drawn("A-1"), wires=[("Gone-1", "A-1")])
    file.write_text(json.dumps({**broken, "name": "Broken", "endpoint_name": "broken"}))

    assert flowray(monkeypatch, "publish", str(file), *form) == 1

    said = capsys.readouterr().out
    assert "Gone-1" in said
    assert form or said.endswith("Broken is published, but cannot run as it is.\n")
    with Client(url, KEY) as client:
        assert client.flow("broken").name == "Broken"
