import asyncio

from flowray.stores.questions import Question, Questions


def question(what: str, tenant: str = "") -> Question:
    return Question(what, b"{}", asyncio.get_running_loop().create_future(), tenant=tenant)


async def test_a_tenant_with_many_questions_keeps_no_other_waiting() -> None:
    questions = Questions()
    for number in range(100):
        questions.add(question(f"a{number}", "a"))
    questions.add(question("b0", "b"))
    questions.add(question("over"))

    taken = questions.take(4)

    assert [one.what for one in taken] == ["a0", "b0", "over", "a1"]


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
