"""Verbs of runs against a service over a real connection: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from flowray.client import Client, job_calls
from flowray.engine import events as ev
from tests.contract.verbs.command_line import failing, flowray
from tests.unit.serve.flows import journal
from tests.unit.serve.service import ECHO, KEY, Held, Service
from tests.unit.serve.test_http_pauses import answer, asking, parked, pending


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


async def test_a_replay_that_waits_for_an_answer_is_not_waited_for(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = await made.publish({**ECHO, "data": ECHO["data"] | {"flowray": {"record": True}}})
    run = (await made.http.post(f"/api/v1/run/{flow}", json={"input_value": "hi"})).headers["x-flowray-run"]
    made.steps.script = asking

    async with asyncio.timeout(20):
        assert await asyncio.to_thread(flowray, monkeypatch, "replay", run) == 4

    assert "Answer: flowray resume" in capsys.readouterr().err


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


async def test_who_watches_a_run_from_its_end_on_is_told_by_the_exit_code_how_it_ended(
    made: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow, ended = await made.publish(ECHO), []
    for script in (made.steps.script, failing):
        made.steps.script = script
        run = (await made.http.post(f"/api/v1/run/{flow}", json={})).headers["x-flowray-run"]
        ended.append(await asyncio.to_thread(flowray, monkeypatch, "watch", run, "--after", "1000"))

    assert ended == [0, 1]
    assert capsys.readouterr().out == ""


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
