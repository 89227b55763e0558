import asyncio

from flowray.stores.questions import Question, Questions


def question(what: str, tenant: str = "") -> Question:
    return Question(what, b"{}", asyncio.get_running_loop().create_future(), tenant=tenant)


async def test_a_tenant_with_many_questions_keeps_no_other_waiting() -> None:
    questions = Questions()
    for number in range(100):
        questions.add(question(f"a{number}", "a"))
    questions.add(question("b0", "b"))

    taken = questions.take(4)

    assert [one.what for one in taken] == ["a0", "b0", "a1", "a2"]


async def test_half_of_what_goes_along_is_what_is_given_back() -> None:
    questions = Questions()
    for number in range(9):
        questions.add(question(f"a{number}", "a"))
        questions.add(question(f"end {number}"))

    taken = [*questions.take(4), *questions.take(8)]

    assert [one.what for one in taken[:4]] == ["end 0", "end 1", "a0", "a1"]
    assert sum(one.what.startswith("end") for one in taken) == 6


async def test_what_is_given_back_goes_alone_when_nobody_asks_for_anything() -> None:
    questions = Questions()
    for number in range(3):
        questions.add(question(f"end {number}"))

    assert [one.what for one in questions.take(8)] == ["end 0", "end 1", "end 2"]
    assert not questions.take(8)


async def test_all_are_taken_each_tenant_s_in_their_order() -> None:
    questions = Questions()
    for number in range(3):
        questions.add(question(f"a{number}", "a"))
        questions.add(question(f"b{number}", "b"))

    taken = [*questions.take(4), *questions.take(4), *questions.take(4)]

    assert [one.what for one in taken] == ["a0", "b0", "a1", "b1", "a2", "b2"]


async def test_what_nobody_waits_for_any_more_is_not_asked_for_but_what_is_given_back_is_told() -> None:
    questions = Questions()
    asked, given_back, awaited = question("ask", "a"), question("end"), question("ask again", "a")
    for one in (asked, given_back, awaited):
        questions.add(one)

    asked.answer.cancel()
    given_back.answer.cancel()

    assert [one.what for one in questions.take(8)] == ["end", "ask again"]
