from __future__ import annotations

import json

import orjson
import pytest

from flowray.runner.masking import Mask


def test_a_secret_is_starred_wherever_it_stands() -> None:
    mask = Mask(["sk-12345"])
    said = {"error": "bad key sk-12345!", "more": [{"sk-12345": "sk-12345sk-12345", "n": 1}]}
    assert mask.json(said) == {"error": "bad key *****!", "more": [{"sk-12345": "**********", "n": 1}]}


def test_a_secret_that_begins_like_another_leaves_no_tail() -> None:
    assert Mask(["secret", "secret-and-more"]).text("it is secret-and-more") == "it is *****"


def test_short_secrets_are_left_alone() -> None:
    assert Mask(["abc", ""]).text("abc") == "abc"


@pytest.mark.parametrize("secret", ["plain", 'quo"te\\', "ünïcode", "tab\tline\n"])
@pytest.mark.parametrize("spell", [orjson.dumps, lambda value: json.dumps(value).encode(), str.encode])
def test_a_secret_is_found_however_json_spells_it(secret: str, spell: object) -> None:
    assert callable(spell)
    raw = spell(secret)
    assert Mask([secret]).found_in(raw)
    assert not Mask(["another"]).found_in(raw)
