"""Verbs of the command line against a service over a real connection: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from flowray.client import Client, job_calls, version_calls
from flowray.engine import events as ev
from flowray.engine.commands import StartStep
from flowray.engine.ports import RunRequest
from flowray_serve.cli.main import main
from flowray_serve.routes.application import build_app
from tests.kit.server import serving
from tests.unit.serve.flows import journal
from tests.unit.serve.service import ECHO, KEY, KEYS_BY_ROLE, Held, Service, canvas, drawn, service
from tests.unit.serve.test_http_pauses import answer, asking, parked, pending

TENANTS = """
tenants:
  acme: {keys: {ci: {roles: [runner]}}}
  globex: {keys: {ci: {roles: [runner]}}}
"""


async def failing(request: RunRequest, step: StartStep) -> AsyncIterator[ev.StepEvent]:
    node = request.flow.nodes[0].id
    yield ev.StepFailed(step=step.step, kind="component", node=node, error="no key", traceback="tb")


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Service:
    return service(**getattr(request, "param", {}))


@pytest.fixture(autouse=True)
def url(made: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    whole = build_app(made.services)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if path.endswith("/events"):  # who follows a run has it driven
            async with made.engine():
                await whole(scope, receive, send)
        else:
            await whole({**scope, "path": "/lost"} if "globex" in path else scope, receive, send)

    with serving(app) as url:
        monkeypatch.setenv("FLOWRAY_URL", url)
        monkeypatch.setenv("FLOWRAY_KEY", KEY)
        monkeypatch.setenv("FLOWRAY_HOME", str(tmp_path / "home"))
        yield url


@pytest.fixture
def echo(url: str) -> str:
    """The endpoint name of a published flow."""
    with Client(url, KEY) as client:
        client.publish({**ECHO, "endpoint_name": "echo"})
    return "echo"


@pytest.fixture
def inputs(tmp_path: Path) -> str:
    """A file of two items."""
    file = tmp_path / "inputs.jsonl"
    file.write_text('"one"\n{"input_value": "two"}\n')
    return str(file)


class Terminal(StringIO):
    """Where somebody answers."""

    def isatty(self) -> bool:
        return True


def flowray(monkeypatch: pytest.MonkeyPatch, *words: str) -> Any:
    """The exit code."""
    monkeypatch.setattr("sys.argv", ["flowray", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_keys_that_were_made_before_a_failure_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])

    assert flowray(monkeypatch, "apply", str(tmp_path / "tenants.yaml"), "--yes", "--json") == 2

    said = json.loads(capsys.readouterr().out)
    assert [key["tenant"] for key in said["keys"]] == ["acme"]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_tenants_are_not_changed_where_nobody_can_be_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "tenants.yaml").write_text(TENANTS)
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    monkeypatch.setattr("sys.stdin", Terminal() if more else StringIO("y\n"))

    assert flowray(monkeypatch, "apply", str(tmp_path / "tenants.yaml"), *more) == 2

    assert "give --yes" in capsys.readouterr().err


def test_one_tenant_is_asked_about_in_the_singular(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tenants.yaml").write_text("tenants:\n  acme: {}\n")
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))

    assert flowray(monkeypatch, "apply", str(tmp_path / "tenants.yaml")) == 1

    said = capsys.readouterr()
    assert "Change 1 tenant?" in said.out + said.err


def test_a_failed_job_is_told_in_json(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str
) -> None:
    made.steps.script = failing

    assert flowray(monkeypatch, "submit", echo, "--wait", "--json") == 1
    job = json.loads(capsys.readouterr().out)
    assert flowray(monkeypatch, "submit", echo, "--wait") == 1

    assert "flowray watch " in capsys.readouterr().out
    assert (job["status"], "no key" in job["error"]) == ("failed", True)


async def test_who_waits_for_a_job_is_told_that_it_waits_for_an_answer(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = await made.publish(ECHO)
    told = journal(ev.RunPaused(request={"prompt": "Send it?"}), ev.RunResumed(), ev.RunFinished(status="cancelled"))
    monkeypatch.setattr(Client, "events", lambda *_: iter(told))

    assert await asyncio.to_thread(flowray, monkeypatch, "submit", flow, "--wait") == 1

    said = capsys.readouterr()
    assert "The run waits for a decision: Send it? Answer: flowray resume" in said.err
    assert said.out.startswith("cancelled")


@pytest.mark.parametrize("verb", [("run",), ("submit", "--wait")])
async def test_who_wants_the_end_of_a_run_that_waits_for_an_answer_is_told_how_to_answer(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    made.steps.script = asking
    flow = await made.publish(ECHO)

    async with asyncio.timeout(20):
        ended = [await asyncio.to_thread(flowray, monkeypatch, *verb, flow, *more) for more in ((), ("--json",))]

    said = capsys.readouterr()
    text, _, problem = said.err.strip().rpartition("\n")
    assert (ended, said.out) == ([4, 4], "")
    assert "The run waits for a decision: Send it? Answer: flowray resume" in text
    assert (json.loads(problem)["code"], json.loads(problem)["human_request"]["kind"]) == ("run_paused", "node_input")


async def test_who_waits_for_answers_too_is_told_the_end(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.steps.script = asking
    flow = await made.publish(ECHO)
    waits = asyncio.create_task(asyncio.to_thread(flowray, monkeypatch, "submit", flow, "--wait-for-answers"))
    async with asyncio.timeout(20):
        await parked(made)
        (asked,) = await pending(made)
        await answer(made, asked, asked["request_id"], "approve")
        assert await waits == 0
    said = capsys.readouterr()
    assert "Answer: flowray resume" in said.err
    assert said.out == "approve\n"


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_who_no_longer_waits_for_a_job_is_told_where_to_follow_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str, more: tuple[str, ...]
) -> None:
    def interrupted(_: Client, run: str) -> None:
        asked.append(run)
        raise KeyboardInterrupt

    asked: list[str] = []
    monkeypatch.setattr(Client, "events", interrupted)

    assert flowray(monkeypatch, "submit", echo, "--wait", *more) == 130

    said = capsys.readouterr()
    line = f"The run goes on; follow it: flowray watch {asked[0]}\n"
    assert (said.out, said.err) == (("", line) if more else (line, ""))


def test_who_watches_a_run_that_waits_is_told_for_what_and_where_to_answer(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = journal(ev.RunPaused(request={"prompt": "Send it?"}), ev.RunFinished(status="succeeded"))
    monkeypatch.setattr(Client, "events", lambda *_, **__: iter(told))

    assert flowray(monkeypatch, "watch", "r1") == 0

    waits = capsys.readouterr().out.splitlines()[0]
    assert "Send it?" in waits
    assert f"flowray resume {told[0].run} ANSWER" in waits


async def test_a_failed_run_says_where_to_read_what_happened(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.steps.script = failing
    flow = await made.publish(ECHO)

    ended = [await asyncio.to_thread(flowray, monkeypatch, "run", flow, *more) for more in ((), ("--json",))]

    text, _, problem = capsys.readouterr().err.strip().rpartition("\n")
    assert ended == [1, 1]
    assert "flowray watch " in text
    assert json.loads(problem)["run"] not in ("", text.rpartition(" ")[2])


@pytest.mark.parametrize("made", [{"sync_s": 0.05}], indirect=True)
def test_a_run_that_takes_too_long_has_failed_and_its_caller_is_told_of_submit(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str
) -> None:
    made.steps.script = Held()

    assert flowray(monkeypatch, "run", echo) == 1
    assert "flowray submit echo --wait" in capsys.readouterr().err


def test_a_compact_file_that_cannot_be_expanded_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "many.flow"
    file.write_text("name: Many\n\nnodes:\n" + "".join(f"  A{number}: ChatInput\n" for number in range(2_001)))

    assert flowray(monkeypatch, "publish", str(file)) == 2
    assert str(file) in capsys.readouterr().err


def test_what_a_paused_run_asks_is_listed_and_answered(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], echo: str, url: str
) -> None:
    made.steps.script = asking
    assert flowray(monkeypatch, "submit", echo, "--json") == 0
    run = json.loads(capsys.readouterr().out)["job_id"]
    assert flowray(monkeypatch, "resume", run, "approve") == 2
    assert "waits for no answer" in capsys.readouterr().err
    with Client(url, KEY) as client:
        for recorded in client.events(run):
            if isinstance(recorded.event, ev.RunPaused):
                break
        while not client.ask(job_calls.pending()):
            time.sleep(0.01)

    assert flowray(monkeypatch, "pending") == 0
    assert flowray(monkeypatch, "resume", run, "maybe") == 2
    assert flowray(monkeypatch, "resume", run, "approve", "--request", "another") == 2
    assert flowray(monkeypatch, "resume", run, "approve", "why=Fine") == 0
    assert flowray(monkeypatch, "watch", run) == 0

    said = capsys.readouterr()
    assert f"{run}  ChatInput-1" in said.out
    assert "approve | reject  Send it?" in said.out
    assert "run succeeded" in said.out
    assert "`approve`, `reject`" in said.err
    assert f"--request: ChatInput-1:{run} (of ChatInput-1)" in said.err


def test_a_dead_letter_that_is_not_there_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flowray(monkeypatch, "deadletters", "run-nobody", "--redrive") == 1

    assert "run-nobody" in capsys.readouterr().out


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


def test_a_tenant_that_has_no_hosts_settled_is_shown_what_that_means(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    assert flowray(monkeypatch, "tenant", "create", "acme") == 0
    assert "all that the pools allow" in capsys.readouterr().out


def test_a_tenants_times_are_for_people_to_read_and_seconds_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLOWRAY_KEY", KEYS_BY_ROLE["operator"])
    assert flowray(monkeypatch, "tenant", "create", "acme", "--json") == 0
    made = json.loads(capsys.readouterr().out)

    assert flowray(monkeypatch, "tenant", "show", "acme") == 0

    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if len(line.split()) > 1)
    told = datetime.strptime(f"{shown['created_at']} UTC", "%Y-%m-%d %H:%M:%S %Z").replace(tzinfo=UTC)
    assert told.timestamp() == int(made["created_at"])
    assert shown["changed_at"] == shown["created_at"]


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
