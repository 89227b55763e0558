"""The name somebody probably meant, and what it may cost to find it."""

from __future__ import annotations

from flowray.flow.nearest import Hints, meant


def test_a_name_that_is_close_is_told_and_any_other_is_not() -> None:
    assert meant("oout", ["in", "out"]) == " Did you mean `out`?"
    assert meant("oout", ["left", "right"]) == ""


def test_long_names_are_not_compared() -> None:
    assert meant("a" * 41, ["a" * 40]) == meant("a" * 40, ["a" * 41]) == ""


def test_all_hints_of_one_document_look_at_so_many_names() -> None:
    hints = Hints()
    known = iter(f"out-{number}" for number in range(10_000))
    for _ in range(100):
        hints.meant("nothing", known)

    assert next(known) == "out-500"
    assert hints.meant("oout", ["out"]) == ""
