from hypothesis import given
from hypothesis import strategies as st

from flowray.engine.growing import Growing

CHANGES = st.lists(st.dictionaries(st.integers(0, 9), st.integers(), max_size=3))


@given(CHANGES)
def test_it_holds_what_a_dict_would_hold(changes: list[dict[int, int]]) -> None:
    growing, plain = Growing[int, int](), dict[int, int]()
    for change in changes:
        growing, plain = growing.with_(change), plain | change
    assert growing == plain
    assert all(growing[key] == plain[key] for key in plain)
    assert list(growing) == list(plain)
    assert bool(growing) == bool(plain)


def test_an_older_copy_stays_as_it_was() -> None:
    older = Growing[str, int]().with_({"a": 1})
    older.with_({"a": 2, "b": 3})
    assert older == {"a": 1}


def test_many_single_changes_make_few_layers() -> None:
    growing = Growing[int, int]()
    for number in range(1_000):
        growing = growing.with_({number: number})
    assert len(growing._layers) <= 10
