"""Plans for people."""

from __future__ import annotations

import orjson

from flowray.flow.types import Flow
from flowray.plan.planner import plan
from flowray.plan.show import as_json, as_mermaid, as_table
from tests.unit.build import field, flow_of, node, output


def small() -> Flow:
    idle = node("idle", tool_mode=True, outputs=(output("component_as_tool", "Tool"),))
    return flow_of(
        node("ask", display_name='Say "hi"\n#1'),
        node("big", metadata={"flowray": {"gpu": 1}}),
        idle,
        wires=("ask.out > big.in",),
    )


def test_a_table_shows_steps_and_reasons() -> None:
    flow = small()

    assert as_table(plan(flow), flow).splitlines() == [
        "STEP  NODES  POOL     NEEDS  AFTER",
        "s1    ask    default  -      -",
        "s2    big    default  1 GPU  s1",
        "",
        "Apart",
        "  s1 | s2: `big` needs 1 GPU, `ask` nothing special",
        "",
        "Left out",
        "  idle: a tool that nobody uses",
    ]


def test_a_plan_that_is_printed_is_its_table() -> None:
    table = as_table(plan(small()), small())

    assert str(plan(small())) == table.partition("\n\nLeft out")[0]


def test_a_diagram_has_a_box_per_step_and_no_loose_quotes() -> None:
    flow = small()

    assert as_mermaid(plan(flow), flow).splitlines() == [
        "flowchart LR",
        '  subgraph s1["s1 (default)"]',
        '    n0["Say #quot;hi#quot; #35;1 (ask)"]',
        "  end",
        '  subgraph s2["s2 (default)"]',
        '    n1["big"]',
        "  end",
        "  n0 --> n1",
    ]


def test_json_is_json() -> None:
    flow = small()

    shown = orjson.loads(orjson.dumps(as_json(plan(flow))))

    assert [step["nodes"] for step in shown["steps"]] == [["ask"], ["big"]]
    assert shown["steps"][1]["resources"]["gpu"] == 1
    assert shown["cuts"][0]["reason"]
    assert shown["outputs"] == ["big"]


def test_json_says_which_wire_closes_a_loop_as_the_diagram_does() -> None:
    ports = (output("item", allows_loop=True), output("done"))
    flow = flow_of(
        node("loop", fields=(field("data"),), outputs=ports),
        node("body"),
        wires=("loop.item > body.in", "body.out >> loop.item"),
    )

    shown = as_json(plan(flow))

    assert [(edge["source"], edge["feedback"]) for edge in shown["edges"]] == [("loop", False), ("body", True)]
    assert "n1 -.-> n0" in as_mermaid(plan(flow), flow)
