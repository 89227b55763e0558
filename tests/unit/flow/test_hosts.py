"""Lists of hosts, and what several of them have in common."""

from __future__ import annotations

from typing import Any

import pytest

from flowray.errors import FlowFormatError, InvalidRequestError
from flowray.flow.check import check_wiring
from flowray.flow.digest import digest
from flowray.flow.hosts import HostRule, common, hosts_of
from flowray.flow.langflow import read, write
from flowray.flow.types import Flow
from tests.unit.build import node


def flow_with(own: Any) -> Flow:
    return read({"name": "x", "data": {"nodes": [node("a")], "edges": [], "flowray": own}})


def test_what_lies_within_the_others_list_is_kept() -> None:
    pool = ("*.example.org", "api.test:8080")
    asked = ("a.example.org", "*.b.example.org", "example.org", "api.test", "api.test:8080", "a.example.org:22")

    assert common(asked, pool) == ("a.example.org", "*.b.example.org", "api.test:8080")


def test_a_wide_entry_is_narrowed_to_what_the_other_list_means() -> None:
    assert common(("*.example.org:443",), ("api.example.org", "db.other.org")) == ("api.example.org:443",)


def test_a_list_that_nobody_wrote_takes_nothing_away() -> None:
    assert common(("a.org", "b.org:5432"), None, None) == ("a.org", "b.org:5432")


def test_an_empty_list_takes_all_away() -> None:
    assert common(("a.org",), None, ()) == ()


def test_a_flow_says_which_hosts_it_needs() -> None:
    assert hosts_of(flow_with({"egress": ["API.example.org", "db.test:5432"]})) == ("api.example.org", "db.test:5432")


@pytest.mark.parametrize("own", [None, {}, {"egress": None}, {"other": 1}])
def test_most_flows_say_nothing(own: Any) -> None:
    assert hosts_of(flow_with(own)) is None


@pytest.mark.parametrize(
    "own", [[], "x", {"egress": "a.org"}, {"egress": [1]}, {"egress": ["https://a.org"]}, {"egress": ["a.org"] * 300}]
)
def test_a_list_that_cannot_be_read_is_an_error_of_the_flow(own: Any) -> None:
    flow = flow_with(own)

    with pytest.raises(FlowFormatError, match=r"data\.flowray"):
        hosts_of(flow)
    assert [finding.code for finding in check_wiring(flow)] == ["bad_egress"]


def test_a_flow_with_another_list_is_another_version() -> None:
    said: list[Any] = [None, {"egress": []}, {"egress": ["a.org"]}]

    assert len({digest(flow_with(own)) for own in said}) == 3


def test_the_list_stays_with_the_flow() -> None:
    assert hosts_of(read(write(flow_with({"egress": ["a.org"]})))) == ("a.org",)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.test", "api.test"),
        ("HTTP://api.test/v1?x=1", "api.test"),
        ("https://me:secret@api.test:8443", "api.test:8443"),
    ],
)
def test_whoever_writes_a_url_is_told_its_host(url: str, host: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"is a URL: give the host alone, {host}\\.$"):
        HostRule.parse(url)
