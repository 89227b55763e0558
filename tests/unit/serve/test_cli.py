"""The command line: what it refuses, and with which exit code."""

import json
import socket
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import ModuleType

import pytest

from flowray.client.errors import error_in
from flowray.engine.outcome import Answer
from flowray.flow.types import Flow
from flowray_serve.__main__ import main as command
from flowray_serve.cli.ending import report
from flowray_serve.cli.main import main
from flowray_serve.cluster.ports import free_port
from flowray_serve.home import Home, Running
from tests.kit.settings import forget_settings
from tests.unit.serve.service import ECHO

FLOW = json.dumps(ECHO).encode()
VERBS = ("up", "down", "run", "check", "plan", "publish", "flows", "runs", "watch", "doctor", "image", "demo", "runner")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    forget_settings(monkeypatch)
    monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def exit_code(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr("sys.argv", ["flowray", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_help_names_every_verb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "--help") == 0

    said = capsys.readouterr().out
    assert [verb for verb in VERBS if verb not in said] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("fly", "--json"), "No such command 'fly'."),
        (("watch", "--json"), "Missing argument 'run'."),
        (("runs", "--limit", "-1", "--json"), "Invalid value for '--limit'"),
    ],
)
def test_wrong_usage_is_one_object_to_who_asked_for_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert exit_code(monkeypatch, *words) == 2

    problem = json.loads(capsys.readouterr().err)
    assert (problem["code"], problem["fault"]) == ("invalid_request", "caller")
    assert problem["detail"].startswith(says)


@pytest.mark.parametrize(
    "words",
    [
        ("fly",),
        ("run",),
        ("run", "my-flow", "-v", "=x"),
        ("plan", "--fusion", "cold"),
        ("plan", "flow.json", "--json", "--mermaid"),
        ("usage", "--json", "--csv"),
        ("runs", "--limit", "many"),
    ],
)
def test_wrong_usage_is_2(monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    assert exit_code(monkeypatch, *words) == 2


@pytest.mark.parametrize("words", [("run", "flow.json", "input_value=a\udcff"), ("submit", "flow", "a\udcff=b")])
def test_an_argument_that_is_no_utf_8_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert exit_code(monkeypatch, *words) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert r"a\xff" in line


@pytest.mark.parametrize("content", [FLOW, b"\xef\xbb\xbf" + FLOW, b"{", b"", b"[]", b'{"data": 1}'])
@pytest.mark.parametrize("verb", ["check", "plan"])
def test_a_flow_on_standard_input_is_read_as_one_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, verb: str, content: bytes
) -> None:
    file = tmp_path / "flow.json"
    file.write_bytes(content)
    ended = exit_code(monkeypatch, verb, str(file))
    of_the_file = capsys.readouterr()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(content)))

    assert exit_code(monkeypatch, verb, "-") == ended

    assert capsys.readouterr() == of_the_file


def test_a_flow_on_standard_input_is_run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[Flow] = []

    def run(flow: Flow, **_: object) -> Answer:
        ran.append(flow)
        return Answer(run="r1", session="s", results=())

    monkeypatch.setattr("flowray.run", run)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(FLOW)))

    assert exit_code(monkeypatch, "run", "-") == 0

    assert "gave no text" in capsys.readouterr().out
    assert [flow.raw for flow in ran] == [ECHO]


@pytest.mark.parametrize("verb", ["check", "plan", "run", "publish"])
def test_input_without_an_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    with Path("/dev/zero").open() as endless:
        monkeypatch.setattr("sys.stdin", endless)

        assert (
            exit_code(monkeypatch, verb, "-", *(("--url", "http://here", "--key", "k") if verb == "publish" else ()))
            == 2
        )

    assert "more than 16,777,216 bytes" in capsys.readouterr().err


def test_standard_input_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/proc/self/mem").open() as unreadable:
        for stdin in (unreadable, None):
            monkeypatch.setattr("sys.stdin", stdin)
            assert exit_code(monkeypatch, "check", "-") == 2

    assert capsys.readouterr().err.count("Cannot read standard input: ") == 2


def test_an_unknown_setting_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FLOWRAY_PROT", "1")

    assert exit_code(monkeypatch, "up") == 2
    assert "FLOWRAY_PORT" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("up",), ("up", "--detach")])
def test_a_home_in_use_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Home, words: tuple[str, ...]
) -> None:
    with home.held():
        home.note_running(Running(url="http://here", pid=1))

        assert exit_code(monkeypatch, *words) == 2

    assert "http://here" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["show", "build"])
def test_an_image_that_nobody_knows_is_wrong_usage(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    assert exit_code(monkeypatch, "image", verb, "nosuch") == 2


def test_a_service_that_is_not_there_is_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    assert exit_code(monkeypatch, "runs", "--url", url, "--key", "k", "--json") == 3
    assert json.loads(capsys.readouterr().err)["fault"] == "service"


def test_without_a_service_at_the_home_the_one_that_up_would_start_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    monkeypatch.setenv("FLOWRAY_PORT", str(port))

    assert exit_code(monkeypatch, "runs") == 3
    assert f"does not answer at http://127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--key", "clé"), ("--url", "127.0.0.1:8231")])
def test_an_address_or_a_key_that_is_none_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    assert exit_code(monkeypatch, "runs", *words) == 2


@pytest.mark.parametrize(
    ("words", "says"), [(("runs", "--key", ""), "`--key` is empty"), (("runs",), "FLOWRAY_KEY is empty")]
)
def test_an_empty_key_does_not_become_the_operators(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    monkeypatch.setenv("FLOWRAY_KEY", "")

    assert exit_code(monkeypatch, *words) == 2
    assert says in capsys.readouterr().err


def test_there_may_be_nothing_to_stop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(monkeypatch, "down", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"stopped": False}


@pytest.mark.parametrize("words", [("pull", "/proc/nope"), ("migrate", "{flow}", "--out", "/proc/nope/x")])
def test_a_path_that_cannot_be_written_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    flow = tmp_path / "flow.json"
    flow.write_text('{"name": "x", "data": {"nodes": [], "edges": []}}')

    assert exit_code(monkeypatch, *(word.format(flow=flow) for word in words)) == 2
    assert capsys.readouterr().err == f"flowray: Cannot write {words[-1]}: No such file or directory.\n"


@pytest.mark.parametrize(("home", "reason"), [("/proc/nope", "No such file"), ("{folder}/file", "File exists")])
def test_a_home_that_cannot_be_made_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, home: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    named = home.format(folder=tmp_path)
    monkeypatch.setenv("FLOWRAY_HOME", named)

    assert exit_code(monkeypatch, "up", "--detach") == 2
    assert capsys.readouterr().err.startswith(f"flowray: Cannot write {named}: {reason}")


@pytest.mark.parametrize("words", [("up",), ("up", "--detach"), ("node", "env")])
def test_a_home_whose_path_cannot_be_used_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "my home"))

    assert exit_code(monkeypatch, *words) == 2

    said = capsys.readouterr().err
    assert said.startswith(f"flowray: The home '{tmp_path}/my home' has the character ' ' in its path")
    assert said.count("\n") == 1


def test_who_starts_nothing_takes_any_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "my home"))

    assert exit_code(monkeypatch, "down") == 0


def test_what_is_detached_never_ends_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Home
) -> None:
    monkeypatch.setattr("flowray_serve.cli.up._again", lambda **_: [sys.executable, "-c", "raise SystemExit(1)"])

    assert exit_code(monkeypatch, "up", "--detach", "--json") == 1

    said = json.loads(capsys.readouterr().err)["detail"]
    assert said.startswith(f"FlowRay ended with 1 and said nothing in {home.logs}/up.log, whose disk has ")


def test_ctrl_c_while_verbs_are_imported_ends_them_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = ModuleType("flowray_serve.cli")
    monkeypatch.setattr(imported, "__getattr__", interrupted, raising=False)
    monkeypatch.setitem(sys.modules, "flowray_serve.cli", imported)
    with pytest.raises(SystemExit) as ended:
        command()
    assert ended.value.code == 130


def interrupted(_: str) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [(429, "rate_limited", 1), (429, "budget_spent", 1), (403, "tenant_suspended", 2), (404, "not_found", 2)],
)
def test_who_may_ask_again_is_not_told_of_wrong_usage(
    capsys: pytest.CaptureFixture[str], status: int, code: str, ends: int
) -> None:
    refused = error_in({"status": status, "code": code, "fault": "caller", "detail": "No."})
    assert report(refused, as_json=True) == ends
    assert json.loads(capsys.readouterr().err)["code"] == code
