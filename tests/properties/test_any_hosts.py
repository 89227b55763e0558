"""What any lists of hosts have in common."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowray.errors import InvalidRequestError
from flowray.flow.hosts import HostRule, common, parsed

NAMES = st.sampled_from(["a.org", "b.a.org", "c.b.a.org", "xa.org", "*.a.org", "*.b.a.org", "*.org"])


PORTS = st.sampled_from(["", ":80", ":443", ":5432"])


ENTRIES = st.builds(lambda name, port: name + port, NAMES, PORTS)


LISTS = st.lists(ENTRIES, max_size=5)


ASKED = [(host, port) for host in ("a.org", "b.a.org", "c.b.a.org", "xa.org", "d.org") for port in (80, 443, 5432)]


@given(LISTS, LISTS, LISTS)
def test_exactly_what_all_lists_mean_is_common(first: list[str], second: list[str], third: list[str]) -> None:
    def means(entries: list[str] | tuple[str, ...], host: str, port: int) -> bool:
        return any(rule.covers(host, port) for rule in parsed(entries))

    both = common(first, second, third)

    for asked in ASKED:
        assert means(both, *asked) == all(means(entries, *asked) for entries in (first, second, third))


@given(st.text(max_size=300))
def test_any_text_is_an_entry_or_a_clear_error(text: str) -> None:
    try:
        rule = HostRule.parse(text)
    except InvalidRequestError:
        return
    assert HostRule.parse(str(rule)) == rule
