from __future__ import annotations

import json

import pytest

from tests.integration.inside.flows import Builder, component, edge, flow_of, spec_of
from tests.integration.inside.host import CANCEL, Heard, Inside, frames, listen, note, send
from tests.kit.llm import MODEL, Llm
from tests.kit.starters import model_tweaks, nodes_of, starters, with_values

ECHO = """
    nodes:
      In: ChatInput
      Out: ChatOutput

    edges:
      In.message -> Out.input_value
"""
SAYS = 'return Message(text="said")'


def test_each_node_tells_its_start_its_end_and_what_it_put_out(inside: Inside, build: Builder) -> None:
    heard = inside.do(spec_of(build.expand(ECHO)))

    told = [(event["kind"], event["node"]) for event in heard.events]
    assert told == [
        ("node_started", "ChatInput-In"),
        ("node_finished", "ChatInput-In"),
        ("node_started", "ChatOutput-Out"),
        ("node_finished", "ChatOutput-Out"),
    ]
    assert heard.text("ChatOutput-Out") == "hello"
    assert heard.result is not None
    assert heard.result["took_s"] > 0


def test_the_result_of_a_node_is_what_langflow_shows(inside: Inside, build: Builder) -> None:
    heard = inside.do(spec_of(build.expand(ECHO)))

    result = heard.of("node_finished", "ChatOutput-Out")[0]["result"]
    assert result["results"]["message"]["text"] == "hello"
    assert result["results"]["message"]["session_id"] == "session-1"
    assert result["component_id"] == "ChatOutput-Out"


def test_without_an_input_the_nodes_keep_the_value_they_were_saved_with(inside: Inside, build: Builder) -> None:
    flow = build.expand(ECHO + "\n    config:\n      In.input_value: saved\n")

    heard = inside.do(spec_of(flow, inputs={}))

    assert heard.text("ChatOutput-Out") == "saved"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_independent_nodes_run_at_the_same_time(inside: Inside, build: Builder, kind: str) -> None:
    wait = "await asyncio.sleep(0.01)" if kind == "async def" else "time.sleep(0.01)"
    meets = component(
        f"""
        import asyncio, pathlib, time
        pathlib.Path(self._id).touch()
        for _ in range(1000):
            if len(list(pathlib.Path().glob("Meets-*"))) == 2:
                return Message(text="met")
            {wait}
        raise TimeoutError("nobody came")
        """,
        name="Meets",
        kind=kind,
    )
    flow = flow_of(build.node("Meets-a", meets), build.node("Meets-b", meets), edges=[])

    heard = inside.do(spec_of(flow))

    assert heard.error is None
    assert {event["node"] for event in heard.of("node_finished")} == {"Meets-a", "Meets-b"}


def test_what_a_component_logs_and_prints_belongs_to_its_node(inside: Inside, build: Builder) -> None:
    talks = component(
        """
        import sys
        self.log("a log", name="first")
        print("a line")
        print("a worry", file=sys.stderr)
        return Message(text="done")
        """
    )

    heard = inside.do(spec_of(flow_of(build.node("Custom-a", talks))))

    told = {(event["stream"], event["text"], event["name"]) for event in heard.of("log", "Custom-a")}
    assert told == {("stdout", "a line", ""), ("stderr", "a worry", ""), ("log", "a log", "first")}
    assert heard.events[-1]["kind"] == "node_finished"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_a_component_prints_is_told_though_its_process_ends_in_that_moment(
    inside: Inside, build: Builder, kind: str
) -> None:
    dies = component(
        """
        import os
        print("one")
        print("two")
        print("calling the driver", flush=True)
        os._exit(1)
        """,
        kind=kind,
    )

    heard = inside.do(spec_of(flow_of(build.node("Custom-a", dies))))

    assert "\n".join(event["text"] for event in heard.of("log", "Custom-a")) == "one\ntwo\ncalling the driver"


@pytest.mark.timeout(60)
def test_what_a_component_prints_is_told_while_it_waits(inside: Inside, build: Builder) -> None:
    hangs = component(
        'import threading\nprint("one")\nprint("calling the service")\nthreading.Event().wait()', kind="def"
    )
    heard = Heard()

    with inside.start(spec_of(flow_of(build.node("Custom-a", hangs)))) as channel:
        for kind, payload in frames(channel):
            note(heard, kind, payload)
            if "calling the service" in [event["text"] for event in heard.of("log", "Custom-a")]:
                break

    assert heard.of("node_finished") == []


def test_a_component_that_prints_without_end_costs_a_bounded_number_of_events(inside: Inside, build: Builder) -> None:
    floods = component('for _ in range(300_000):\n    print("again and again")\nreturn Message(text="done")')

    heard = inside.do(spec_of(flow_of(build.node("Custom-a", floods))))

    assert heard.error is None
    assert len(heard.events) < 300
    assert sum(len(event["text"]) for event in heard.of("log")) < 1.1 * (1 << 20)


def test_one_long_print_is_told_whole_and_a_log_that_is_cut_says_so(inside: Inside, build: Builder) -> None:
    long = component('print("x" * 500_000, end="")\nself.log("y" * 70_000)\nreturn Message(text="done")')

    heard = inside.do(spec_of(flow_of(build.node("Custom-a", long))))

    assert "".join(event["text"] for event in heard.of("log") if event["stream"] == "stdout") == "x" * 500_000
    (logged,) = (event["text"] for event in heard.of("log") if event["stream"] == "log")
    assert logged.endswith("y\n[70000 characters; the rest is dropped]")


def test_a_streaming_run_tells_the_tokens_and_then_the_whole_text(inside: Inside, llm: Llm) -> None:
    starter = starters()["Basic Prompting"]
    flow = with_values(starter, model_tweaks(starter))

    heard = inside.do(spec_of(flow, variables=llm.variables, stream=True))

    streamed = "".join(event["text"] for event in heard.of("token"))
    (out,) = nodes_of(flow, "ChatOutput")
    assert len(heard.of("token")) > 1
    assert streamed == heard.text(out)
    assert heard.of("message")[-1]["message"]["text"] == streamed


def test_a_run_that_does_not_stream_tells_no_tokens(inside: Inside, llm: Llm) -> None:
    starter = starters()["Basic Prompting"]

    heard = inside.do(spec_of(with_values(starter, model_tweaks(starter)), variables=llm.variables))

    assert not heard.of("token")
    assert heard.error is None


def test_the_use_of_tokens_is_told(inside: Inside, llm: Llm) -> None:
    starter = starters()["Basic Prompting"]

    heard = inside.do(spec_of(with_values(starter, model_tweaks(starter)), variables=llm.variables))

    used = [event["usage"] for event in heard.of("node_finished") if event["usage"]]
    assert used
    assert used[0]["total_tokens"] == used[0]["input_tokens"] + used[0]["output_tokens"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["Basic Prompting", "Simple Agent", "Sequential Tasks Agents"])
def test_each_call_of_a_model_is_told_once_with_its_node_and_its_tokens(
    inside: Inside, llm: Llm, name: str, *, stream: bool
) -> None:
    starter = starters()[name]
    before = len(llm.requests)

    heard = inside.do(spec_of(with_values(starter, model_tweaks(starter)), variables=llm.variables, stream=stream))

    asked = [request for request in llm.requests[before:] if "messages" in request]
    calls = heard.of("model_used")
    assert heard.error is None
    assert len(calls) == len(asked)
    assert {call["model"] for call in calls} == {MODEL}
    assert all(call["input_tokens"] > 0 and call["output_tokens"] > 0 for call in calls)
    nodes = {*nodes_of(starter, "Agent"), *nodes_of(starter, "LanguageModelComponent")}
    assert {call["node"] for call in calls} <= nodes


def test_a_field_that_names_a_variable_gets_its_value_and_results_do_not_show_it(
    inside: Inside, build: Builder
) -> None:
    tells = component("return Message(text=self.key)", inputs='SecretStrInput(name="key")')
    node = build.node("Custom-a", tells, key={"value": "MY_KEY", "load_from_db": True})

    heard = inside.do(spec_of(flow_of(node), variables={"MY_KEY": "xyzzy"}))

    assert heard.output("Custom-a", "out")["json"]["text"] == "xyzzy"
    assert "xyzzy" not in json.dumps(heard.of("node_finished")[0]["result"]["results"])


def test_components_find_variables_in_their_environment_and_nothing_else(inside: Inside, build: Builder) -> None:
    tells = component('import os\nreturn Message(text=os.environ["MY_KEY"] + os.environ.get("LANGFLOW_SECRET", ""))')
    spec = spec_of(flow_of(build.node("Custom-a", tells)), variables={"MY_KEY": "xyzzy", "LANGFLOW_SECRET": "no"})

    heard = inside.do(spec)

    assert heard.output("Custom-a", "out")["json"]["text"] == "xyzzy"


def test_with_egress_http_clients_are_led_to_the_gate(inside: Inside, build: Builder) -> None:
    tells = component('import os\nreturn Message(text=os.environ["https_proxy"])')

    heard = inside.do(spec_of(flow_of(build.node("Custom-a", tells)), egress=["example.com"]))

    assert heard.output("Custom-a", "out")["json"]["text"] == "http://127.0.0.1:3128"


def test_an_uploaded_file_is_read_under_the_path_that_the_flow_names(inside: Inside, build: Builder) -> None:
    flow = build.expand("nodes:\n  Doc: File\n  Out: ChatOutput\n\nedges:\n  Doc.message -> Out.input_value\n")
    path = f"{flow['name']}/notes.txt"
    flow["data"]["nodes"][0]["data"]["node"]["template"]["path"]["file_path"] = [path]

    heard = inside.do(spec_of(flow, files={path: 0}), [b"what the file says"])

    assert heard.error is None
    assert "what the file says" in heard.text("ChatOutput-Out")


def test_the_flows_context_comes_in_and_what_is_written_to_it_goes_out(inside: Inside, build: Builder) -> None:
    counts = component('self.update_ctx({"count": self.ctx["count"] + 1})\nreturn Message(text="done")')

    heard = inside.do(spec_of(flow_of(build.node("Custom-a", counts)), context={"count": 41}))

    assert heard.of("context") == [{"kind": "context", "node": "Custom-a", "values": {"count": 42}}]


def test_a_cancelled_run_ends_where_it_waits(inside: Inside, build: Builder) -> None:
    waits = component('import asyncio\nawait asyncio.sleep(3600)\nreturn Message(text="")', kind="async def")
    heard = Heard()

    with inside.start(spec_of(flow_of(build.node("Custom-a", waits)))) as channel:
        told = frames(channel)
        note(heard, *next(told))
        send(channel, CANCEL)
        listen(channel, heard)

    assert heard.of("node_started", "Custom-a")
    assert heard.error is not None
    assert heard.error["kind"] == "cancelled"


def test_large_values_go_aside_as_blobs_and_come_back_whole(inside: Inside, build: Builder) -> None:
    grows = build.node("Custom-a", component('return Message(text="x" * 9_000_000)'))
    counts = build.node("Custom-b", component("return Message(text=str(len(self.before.text)))"))
    flow = flow_of(grows, counts)

    first = inside.do(spec_of(flow, build=["Custom-a"]))
    value = first.output("Custom-a", "out")
    second = inside.do(spec_of(flow, build=["Custom-b"], upstream={"Custom-a": {"out": value}}), first.blobs)

    assert value == {"type": "message", "blob": 0}
    assert second.output("Custom-b", "out")["json"]["text"] == "9000000"


def test_an_unknown_job_is_refused(inside: Inside) -> None:
    heard = inside.do({"job": "dance"})

    assert heard.error is not None
    assert "dance" in heard.error["error"]


def test_a_node_without_its_value_fails_and_says_which_node_is_missing(inside: Inside, build: Builder) -> None:
    first, second = build.node("Custom-a", component(SAYS)), build.node("Custom-b", component("return self.before"))

    heard = inside.do(spec_of(flow_of(first, second), build=["Custom-b"]))

    assert heard.error is not None
    assert heard.error["node"] == "Custom-b"


def test_the_inputs_of_a_list_come_in_the_order_in_which_they_were_wired(inside: Inside, build: Builder) -> None:
    letters = [build.node(f"Custom-{letter}", component(f'return Message(text="{letter}")')) for letter in "cab"]
    joins = build.node("Joins-1", component("return Message(text=''.join(m.text for m in self.before))", many=True))

    heard = inside.do(spec_of(flow_of(*letters, joins, edges=[edge(letter, joins) for letter in letters])))

    assert heard.output("Joins-1", "out")["json"]["text"] == "cab"
