from __future__ import annotations

import weakref

import pytest

from flowray_sandbox.failures import component_failed
from tests.integration.inside.flows import Builder, component, edge, flow_of, spec_of
from tests.integration.inside.host import Inside


def test_a_component_that_raises_fails_its_node_in_its_own_words(inside: Inside, build: Builder) -> None:
    raises = component("value = 0\nreturn Message(text=str(1 / value))", name="Divides")

    heard = inside.do(spec_of(flow_of(build.node("Divides-1", raises))))

    (failed,) = heard.of("node_failed")
    assert (failed["node"], failed["error"], failed["error_type"]) == (
        "Divides-1",
        "division by zero",
        "ZeroDivisionError",
    )
    assert heard.error is not None
    assert [heard.error[name] for name in ("kind", "node", "error")] == ["component", "Divides-1", "division by zero"]


def test_the_traceback_shows_the_components_lines_and_neither_ours_nor_lfxs(inside: Inside, build: Builder) -> None:
    raises = component("value = 0\nreturn Message(text=str(1 / value))")

    heard = inside.do(spec_of(flow_of(build.node("Custom-1", raises))))

    assert heard.error is not None
    trace = heard.error["traceback"]
    assert "return Message(text=str(1 / value))" in trace
    assert "in build_out" in trace
    assert "flowray" not in trace
    assert "lfx/" not in trace


def test_the_traceback_of_several_errors_at_once_shows_the_components_lines_of_each(
    inside: Inside, build: Builder
) -> None:
    body = """import asyncio
from lfx.schema import Message as Lfx
async def fails(number):
    await asyncio.sleep(0)
    Lfx(timestamp=number)
async with asyncio.TaskGroup() as tasks:
    tasks.create_task(fails([1]))
    tasks.create_task(fails([2]))"""

    heard = inside.do(spec_of(flow_of(build.node("Custom-1", component(body, kind="async def")))))

    assert heard.error is not None
    trace = heard.error["traceback"]
    assert trace.count("in fails\n") == trace.count("Lfx(timestamp=number)") == 2
    assert "<string>" not in trace
    assert "lfx/" not in trace


@pytest.mark.parametrize(
    ("body", "is_said"),
    [
        ("import socket\nsocket.create_connection(('example.org', 80))", True),
        ("import urllib.request\nurllib.request.urlopen('http://example.org')", True),
        ("import socket\nsocket.create_connection(('127.0.0.1', 9))", True),
        ("open('/nowhere')", False),
        ("raise TimeoutError('too slow')", False),
    ],
)
def test_a_connection_where_none_is_allowed_says_why_it_failed(
    inside: Inside, build: Builder, body: str, *, is_said: bool
) -> None:
    heard = inside.do(spec_of(flow_of(build.node("Custom-1", component(body)))))

    assert heard.error is not None
    assert ("can reach no host at all" in heard.error["error"]) is is_said


def test_what_a_component_starts_and_fails_to_end_does_not_hide_its_error(inside: Inside, build: Builder) -> None:
    raises = component('import sys\nsys.exit("enough")')

    heard = inside.do(spec_of(flow_of(build.node("Custom-1", raises))))

    assert heard.error is not None
    assert (heard.error["node"], heard.error["error"]) == ("Custom-1", "enough")


@pytest.mark.parametrize(
    ("raising", "said"),
    [
        ("raise KeyboardInterrupt", "The component raised KeyboardInterrupt, which ends a program."),
        (
            "class Mute(Exception):\n    def __str__(self): return 1 / 0\nraise Mute()",
            "Mute, which cannot say what it is: its `__str__` fails.",
        ),
    ],
)
def test_whatever_a_component_raises_names_its_node(inside: Inside, build: Builder, raising: str, said: str) -> None:
    heard = inside.do(spec_of(flow_of(build.node("Custom-1", component(raising)))))

    assert heard.error is not None
    assert (heard.error["kind"], heard.error["node"], heard.error["error"]) == ("component", "Custom-1", said)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("import there_is_no_such_module\n", "there_is_no_such_module"),
        ("raise_at_import = 1 / 0\n", "division by zero"),
        ("def (:\n", "line"),
    ],
)
def test_source_that_cannot_be_loaded_fails_its_node(inside: Inside, build: Builder, broken: str, said: str) -> None:
    node = build.node("Custom-1", component('return Message(text="")'))
    node["data"]["node"]["template"]["code"]["value"] = broken + node["data"]["node"]["template"]["code"]["value"]

    heard = inside.do(spec_of(flow_of(node)))

    assert heard.error is not None
    assert (heard.error["kind"], heard.error["node"]) == ("component", "Custom-1")
    assert said in heard.error["error"]


def test_a_value_that_has_to_travel_and_cannot_is_named(inside: Inside, build: Builder) -> None:
    live = build.node("Custom-a", component("import threading\nreturn threading.Lock()"))
    reads = build.node("Custom-b", component('return Message(text="")'))

    heard = inside.do(spec_of(flow_of(live, reads), build=["Custom-a"]))

    assert heard.error is not None
    assert (heard.error["kind"], heard.error["node"]) == ("value", "Custom-a")
    assert "`out`" in heard.error["error"]
    assert "lock" in heard.error["error"]


def test_a_live_object_serves_its_own_step_and_is_told_as_a_stand_in(inside: Inside, build: Builder) -> None:
    live = build.node("Custom-a", component("import threading\nreturn threading.Lock()"))
    reads = build.node("Custom-b", component("return Message(text=str(self.before.locked()))"))

    heard = inside.do(spec_of(flow_of(live, reads)))

    assert heard.error is None
    assert heard.output("Custom-a", "out") == {"type": "object", "json": {"$flowray": "opaque", "value": "lock"}}
    assert heard.output("Custom-b", "out")["json"]["text"] == "False"


def test_when_one_of_two_nodes_fails_the_other_is_cancelled(inside: Inside, build: Builder) -> None:
    waits = component('import asyncio\nawait asyncio.sleep(3600)\nreturn Message(text="")', kind="async def")
    raises = component('raise ValueError("at once")')
    flow = flow_of(build.node("Custom-a", waits), build.node("Custom-b", raises), edges=[])

    heard = inside.do(spec_of(flow))

    assert heard.error is not None
    assert (heard.error["node"], heard.error["error"]) == ("Custom-b", "at once")


@pytest.mark.parametrize("beside", [[], ["Custom-b"]])
def test_a_component_that_raises_as_if_it_were_cancelled_fails_its_node(
    inside: Inside, build: Builder, beside: list[str]
) -> None:
    raises = build.node("Custom-a", component("import asyncio\nraise asyncio.CancelledError", kind="async def"))
    others = [build.node(name, component('return Message(text="")')) for name in beside]

    heard = inside.do(spec_of(flow_of(raises, *others, edges=[])))

    assert heard.error is not None
    assert (heard.error["kind"], heard.error["node"]) == ("component", "Custom-a")
    assert heard.error["error"] == "The component raised CancelledError, though nobody had stopped it."


def test_an_edge_that_does_not_fit_is_an_error(inside: Inside, build: Builder) -> None:
    first = build.node("Custom-a", component('return Message(text="")'))
    second = build.node("Custom-b", component('return Message(text="")'))
    wrong = edge(first, second)
    wrong["data"]["sourceHandle"]["output_types"] = ["Embeddings"]

    heard = inside.do(spec_of(flow_of(first, second, edges=[wrong])))

    assert heard.error is not None
    assert "invalid handles" in heard.error["error"]


def test_a_variable_that_a_field_cannot_do_without_is_named(inside: Inside, build: Builder) -> None:
    takes = component("return Message(text=self.word)", inputs='MessageTextInput(name="word"),')
    node = build.node("Custom-a", takes, word={"value": "NO_SUCH_VAR", "load_from_db": True})

    heard = inside.do(spec_of(flow_of(node)))

    assert heard.error is not None
    assert (heard.error["kind"], heard.error["node"]) == ("variable", "Custom-a")
    assert "`word` names the variable `NO_SUCH_VAR`, which does not exist" in heard.error["error"]


def test_a_variable_that_a_field_can_do_without_may_be_absent(inside: Inside, build: Builder) -> None:
    takes = component("return Message(text=str(self.key))", inputs='SecretStrInput(name="key"),')
    node = build.node("Custom-a", takes, key={"value": "NO_SUCH_VAR", "load_from_db": True})

    heard = inside.do(spec_of(flow_of(node)))

    assert heard.error is None, heard.error


def test_text_that_is_no_text_does_not_break_the_channel(inside: Inside, build: Builder) -> None:
    odd = component(r'raise ValueError("broken \ud800 character")')

    heard = inside.do(spec_of(flow_of(build.node("Custom-a", odd))))

    assert heard.error is not None
    assert heard.error["error"] == "broken ? character"


def test_what_an_error_says_at_length_is_cut(inside: Inside, build: Builder) -> None:
    raises = component('raise ValueError("x" * 20_000_000)')

    heard = inside.do(spec_of(flow_of(build.node("Custom-1", raises))))

    (failed,) = heard.of("node_failed")
    assert failed["error"].startswith("xxx")
    assert failed["error"].endswith("[20000000 characters; the rest is dropped]")
    assert len(failed["traceback"]) < 100_000


class Hoard:
    """Something large."""


def test_what_filled_the_memory_is_let_go_before_it_is_told() -> None:
    seen: list[weakref.ref[Hoard]] = []

    def fill() -> None:
        hoard = Hoard()
        seen.append(weakref.ref(hoard))
        raise MemoryError

    with pytest.raises(MemoryError) as full:
        fill()

    failure = component_failed(full.value, node="Custom-1")

    assert (failure.kind, failure.error) == ("memory", "out of memory")
    assert seen[0]() is None


def test_a_field_whose_value_lfx_refuses_fails_its_node(inside: Inside, build: Builder) -> None:
    takes = component('return Message(text="")', inputs='StrInput(name="rows"),')
    node = build.node("Custom-1", takes, rows={"type": "table", "value": 5})

    heard = inside.do(spec_of(flow_of(node)))

    assert heard.error is not None
    assert (heard.error["kind"], heard.error["node"]) == ("component", "Custom-1")
    assert "for table field rows" in heard.error["error"]
