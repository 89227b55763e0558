"""Where nodes go because of what they import, and what their run declares."""

from __future__ import annotations

import pytest

from flowray.component.stock import Stock
from flowray.errors import MissingPackageError
from flowray.flow.types import NodeId
from flowray.plan.packages import missing_packages
from flowray.plan.planner import plan
from flowray.plan.types import Pool
from tests.unit.build import field, flow_of, node, output


def stock(image: str, **needs: str) -> Stock:
    """An image whose packages are called like their modules; `lfx` needs no declaration."""
    names = {name: frozenset({name}) for name in ("lfx", *needs)}
    required = {name: frozenset(text.split()) for name, text in needs.items()}
    standard, always = frozenset({"os"}), frozenset({"lfx"})
    return Stock(image=image, names=names, standard=standard, needs=required, always=always)


PLAIN = Pool(name="default", stock=stock("default"))
SCIENCE = Pool(name="science", stock=stock("science.txt", torch="numpy", numpy="", boto3=""))
CLOUD = Pool(name="cloud", stock=stock("cloud.txt", boto3="", jinja=""))


def test_a_node_goes_to_the_pool_that_has_its_packages() -> None:
    flow = flow_of(node("a", code="import os, lfx"), node("b", code="import torch"), wires=("a.out > b.in",))

    made = plan(flow, pools=[PLAIN, SCIENCE])

    assert [(step.nodes, step.pool) for step in made.steps] == [(("a",), "default"), (("b",), "science")]
    assert made.cuts[0].reason == "`b` runs in pool `science`, `a` in pool `default`"


def test_a_run_declares_what_its_nodes_import_and_all_that_needs() -> None:
    code = "import torch\ndef later():\n    import boto3"

    assert plan(flow_of(node("a", code=code)), pools=[PLAIN, SCIENCE]).packages == ("boto3", "numpy", "torch")


def test_what_langflow_noted_is_declared_too() -> None:
    noted = {"dependencies": {"dependencies": [{"name": "torch", "version": "2"}, {"name": "gone"}]}}

    made = plan(flow_of(node("a", metadata=noted)), pools=[SCIENCE])

    assert made.packages == ("numpy", "torch")


def test_a_run_of_the_default_packages_declares_nothing() -> None:
    assert plan(flow_of(node("a", code="import lfx")), pools=[PLAIN]).packages == ()


def test_without_stock_a_run_may_import_all_of_its_image() -> None:
    assert plan(flow_of(node("a", code="import torch")), pools=[Pool(name="default")]).packages is None
    assert plan(flow_of(node("a", code="import torch"))).packages is None


def test_a_pool_that_has_the_later_imports_too_is_better() -> None:
    code = "import boto3\ndef later():\n    import jinja"

    assert plan(flow_of(node("a", code=code)), pools=[SCIENCE, CLOUD]).steps[0].pool == "cloud"


def test_later_imports_that_are_nowhere_do_not_stop_a_flow() -> None:
    flow = flow_of(node("a", code="def later():\n    import nowhere"))

    assert plan(flow, pools=[PLAIN]).steps[0].pool == "default"
    assert [(one.severity, one.code, one.node) for one in missing_packages([PLAIN], flow)] == [
        ("warning", "package_not_there", "a")
    ]


def test_sources_that_are_too_long_together_are_not_read_and_may_import_all_of_their_image() -> None:
    long = [node(name, code=f"import torch\n#{name}{'x' * 300_000}") for name in ("a", "b")]

    assert plan(flow_of(long[0]), pools=[PLAIN, SCIENCE]).packages == ("numpy", "torch")
    made = plan(flow_of(*long), pools=[PLAIN, SCIENCE])
    assert ({step.nodes[0]: step.pool for step in made.steps}, made.packages) == (
        {"a": "science", "b": "default"},
        None,
    )
    assert missing_packages([PLAIN], flow_of(node("a", code=f"import torch\n#{'x' * 600_000}"))) == []


def test_a_package_that_no_pool_has_is_refused_with_node_module_and_setting() -> None:
    flow = flow_of(node("a"), node("b", code="from sklearn.svm import SVC"))

    with pytest.raises(MissingPackageError) as refused:
        missing_packages([PLAIN, SCIENCE], flow)

    assert refused.value.node == "b"
    assert refused.value.message == (
        "Node `b` imports `sklearn.svm`, which no pool's image has; there are `default` (default), `science` "
        "(science.txt). Add `scikit-learn==VERSION` to the lock of a pool's image, build it (flowray image build "
        '--lock LOCK), and name it in the setting of the pool: FLOWRAY_POOLS=\'{"default": {"image": "LOCK"}}\'.'
    )


def test_a_shipped_image_that_would_serve_is_named_with_its_pool() -> None:
    flow = flow_of(node("a"), node("b", code="import haystack.components"))

    with pytest.raises(MissingPackageError) as refused:
        missing_packages([PLAIN], flow)

    assert "(flowray image build haystack)" in refused.value.message
    assert 'FLOWRAY_POOLS=\'{"default": {}, "haystack": {"image": "haystack"}}\'' in refused.value.message


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("llama_index.llms.hugging_face.base", "`llama-index-llms-hugging-face==VERSION`"),
        ("haystack_integrations.x", "the distribution that brings `haystack_integrations.x`"),
    ],
)
def test_a_part_of_a_framework_that_its_image_lacks_goes_into_a_lock(module: str, line: str) -> None:
    names = {"llama_index.core": frozenset({"llama-index-core"}), "haystack": frozenset({"haystack-ai"})}
    there = Pool(name="there", stock=Stock(image="frameworks", names=names))

    with pytest.raises(MissingPackageError) as refused:
        missing_packages([there], flow_of(node("a", code=f"import {module}")))

    assert f"Add {line} to the lock" in refused.value.message


def test_a_node_of_another_framework_goes_to_the_pool_whose_image_has_it() -> None:
    pipeline = {"name": "pipeline", "type": "code", "value": "components: {a: {type: haystack.b.C}}"}
    asking = node("b", "HaystackPipeline", code=None, fields=(field("in", "Message"), pipeline))
    flow = flow_of(node("a", code="import lfx"), asking, wires=("a.out > b.in",))
    frameworks = Pool(name="frameworks", stock=stock("frameworks", haystack="jinja", jinja=""))

    made = plan(flow, pools=[PLAIN, frameworks])

    assert [(step.nodes, step.pool) for step in made.steps] == [(("a",), "default"), (("b",), "frameworks")]
    assert made.packages == ("haystack", "jinja")


def test_the_pool_a_node_asks_for_must_have_its_packages() -> None:
    flow = flow_of(node("a", code="import torch", metadata={"flowray": {"pool": "cloud"}}))

    with pytest.raises(MissingPackageError, match="`cloud`"):
        plan(flow, pools=[PLAIN, SCIENCE, CLOUD])


def test_nodes_of_one_sandbox_need_their_packages_in_one_image() -> None:
    flow = flow_of(
        node("t", outputs=(output("o", "Tool"),), code="import torch"),
        node("u", fields=(field("tools", "Tool"),), code="import jinja"),
        wires=("t.o > u.tools",),
    )

    with pytest.raises(MissingPackageError, match="in one sandbox") as refused:
        plan(flow, pools=[SCIENCE, CLOUD])

    assert refused.value.node == NodeId("t")
