"""What code prints is told before it can hang or die, and costs no event per line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from flowray_sandbox.capture import Printed
from flowray_sandbox.report import Report


class Told:
    """Takes the place of a report: what was told, what of it was sent at once, and what is planned."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.sent: list[str] = []
        self.planned: list[Callable[[], object]] = []
        self.now = 100.0

    def log(self, _node: str, text: str, *, within_s: float, **_: Any) -> None:
        self.texts.append(text)
        if within_s == 0:
            self.sent.append(text)

    def later(self, after_s: float, call: Callable[[], object]) -> None:
        assert after_s < 1
        self.planned.append(call)

    def wait(self) -> None:
        """Let what is planned happen."""
        self.now += 1
        planned, self.planned = self.planned, []
        for call in planned:
            call()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def out(told: Told) -> Printed:
    printed = Printed("stdout", clock=lambda: told.now)
    printed.print_into(cast("Report", told))
    return printed


def test_a_line_after_a_silence_is_sent_at_once(out: Printed, told: Told) -> None:
    print("asking the slow service", file=out)

    assert told.sent == ["asking the slow service"]


def test_the_lines_that_follow_are_told_together_a_moment_later(out: Printed, told: Told) -> None:
    for word in ("one", "two", "three"):
        print(word, file=out)

    told.wait()

    assert told.sent == ["one", "two\nthree"]


def test_what_has_no_end_of_a_line_is_told_a_moment_later(out: Printed, told: Told) -> None:
    print("name? ", end="", file=out)

    told.wait()

    assert told.sent == ["name? "]


def test_what_is_flushed_is_sent_at_once(out: Printed, told: Told) -> None:
    for word in ("one", "two", "three"):
        print(word, file=out, flush=True)
    out.buffer.write(b"four")
    out.buffer.flush()

    assert told.sent == ["one", "two", "three", "four"]


def test_a_loop_that_flushes_each_line_costs_no_event_per_line(out: Printed, told: Told) -> None:
    lines = [str(number) for number in range(10_000)]
    for line in lines:
        told.now += 0.001
        print(line, file=out, flush=True)

    told.wait()

    assert "\n".join(told.texts) == "\n".join(lines)
    assert len(told.texts) < 300


def test_what_was_planned_for_another_report_is_planned_anew(out: Printed, told: Told) -> None:
    print("in a rehearsal", end="", file=out)
    out.tell_all()
    told.planned.clear()
    out.print_into(cast("Report", told))

    print("in a run", end="", file=out)
    told.wait()

    assert told.texts == ["in a rehearsal", "in a run"]
