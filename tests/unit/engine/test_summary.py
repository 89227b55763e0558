from flowray.engine.events import Event, Recorded, RunAccepted, RunFinished
from flowray.engine.summary import RunSummary, summary
from tests.unit.engine.happenings import finished, started
from tests.unit.engine.whole_runs import RUN

ACCEPTED = RunAccepted(tenant="acme", flow="flow-1", flow_name="Flow", version="v1", session="s")


def told(*events: Event) -> list[Recorded]:
    return [Recorded(seq=seq, at=float(seq), run=RUN, event=event) for seq, event in enumerate(events, 1)]


def test_a_run_that_goes_on_is_running() -> None:
    expected = RunSummary(run=RUN, flow="flow-1", flow_name="Flow", version="v1", session="s", accepted_at=1.0)
    assert summary(told(ACCEPTED, started("a"))) == expected
    assert expected.status == "running"


def test_a_finished_run_says_how_and_when() -> None:
    found = summary(told(ACCEPTED, started("a"), finished("a"), RunFinished(status="failed", error="boom")))
    assert found is not None
    assert (found.status, found.error, found.finished_at) == ("failed", "boom", 4.0)


def test_events_without_a_beginning_are_no_run() -> None:
    assert summary(told(started("a"), RunFinished(status="succeeded"))) is None
