"""What a run was tweaked with is carried over to another version of its flow."""

from __future__ import annotations

from flowray.flow.carried import carried
from flowray.flow.tweaks import tweak
from tests.unit.build import field, flow_of, node


def test_a_tweaked_value_is_carried_and_others_stay_as_they_are() -> None:
    published = flow_of(node("a", fields=(field("one", value="1"), field("two", value="2"))))
    onto = flow_of(node("a", fields=(field("one", value="x"), field("two", value="y"), field("new")), code="x = 2"))
    after = carried(tweak(published, {"a": {"one": "given"}}), published, onto).nodes[0]
    assert [after.fields[name].value for name in ("one", "two")] == ["given", "y"]
    assert after.raw["data"]["node"]["template"]["one"]["value"] == "given"
    assert after.code == "x = 2"


def test_a_field_or_node_that_is_no_more_is_passed_over() -> None:
    published = flow_of(node("a", fields=(field("one"),)), node("b", fields=(field("one"),)))
    ran = tweak(published, {"a": {"one": "given"}, "b": {"one": "given"}})
    onto = flow_of(node("a", fields=(field("other", value="kept"),)))
    assert carried(ran, published, onto).nodes[0].fields["other"].value == "kept"


def test_a_run_that_was_given_nothing_carries_nothing() -> None:
    published, onto = flow_of(node("a")), flow_of(node("a", fields=(field("in", value="new"),)))
    assert carried(published, published, onto) == onto
