from flowray.engine.growing import Growing


def test_an_older_copy_stays_as_it_was() -> None:
    older = Growing[str, int]().with_({"a": 1})
    older.with_({"a": 2, "b": 3})
    assert older == {"a": 1}


def test_many_single_changes_make_few_layers() -> None:
    growing = Growing[int, int]()
    for number in range(1_000):
        growing = growing.with_({number: number})
    assert len(growing._layers) <= 10
