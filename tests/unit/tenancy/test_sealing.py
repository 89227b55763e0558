"""Secrets at rest."""

from __future__ import annotations

import base64

import pytest

from flowray.errors import InvalidRequestError, SettingsError
from flowray.tenancy.sealing import MasterKeys, Sealer, SealError, new_master_key

HERE, ELSEWHERE = "tenants/acme/variables/1", "tenants/other/variables/1"
OLD, NEW = new_master_key("old"), new_master_key("new")


def sealer(*keys: str) -> Sealer:
    return Sealer(MasterKeys.of(",".join(keys)))


def test_a_secret_is_nowhere_in_what_is_kept_and_never_sealed_twice_alike() -> None:
    first, second = (sealer(OLD).seal("sk-secret", place=HERE) for _ in range(2))
    raw = b"".join(base64.b64decode(first[part]) for part in ("text", "key"))
    assert b"sk-secret" not in raw + str(first).encode()
    assert first["text"] != second["text"]
    assert first["key"] != second["key"]


def test_what_is_sealed_for_one_place_opens_in_no_other() -> None:
    sealed = sealer(OLD).seal("sk-secret", place=HERE)
    with pytest.raises(SealError):
        sealer(OLD).open(sealed, place=ELSEWHERE)


@pytest.mark.parametrize("part", ["text", "key"])
def test_what_was_changed_does_not_open(part: str) -> None:
    sealed = dict(sealer(OLD).seal("sk-secret", place=HERE))
    raw = bytearray(base64.b64decode(sealed[part]))
    raw[-1] ^= 1
    with pytest.raises(SealError):
        sealer(OLD).open(sealed | {part: base64.b64encode(raw).decode()}, place=HERE)


def test_a_new_master_key_opens_what_it_has_wrapped_anew_without_the_old_one() -> None:
    sealed = sealer(OLD).seal("sk-secret", place=HERE)
    both = sealer(NEW, OLD)
    assert not both.is_current(sealed)

    rewrapped = both.rewrapped(sealed, place=HERE)

    assert both.is_current(rewrapped)
    assert rewrapped["text"] == sealed["text"]
    assert sealer(NEW).open(rewrapped, place=HERE) == "sk-secret"
    with pytest.raises(SealError, match="`old` is not in the ring"):
        sealer(NEW).open(sealed, place=HERE)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a:", "a:AAAA", f"{OLD},{OLD}", "bad id:" + OLD.partition(":")[2], ","],
    ids=["nothing", "a name", "no key", "a short key", "one twice", "a bad name", "a comma"],
)
def test_what_is_no_ring_of_keys_is_refused_without_saying_a_key(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        MasterKeys.of(text)
    assert OLD.partition(":")[2] not in refused.value.message


@pytest.mark.parametrize("name", ["", "a:b", "a,b", "a b", "a\n", "x" * 65])
def test_no_key_is_made_under_an_id_that_no_ring_takes(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        new_master_key(name)


def test_a_ring_shows_no_key() -> None:
    assert OLD.partition(":")[2] not in repr(MasterKeys.of(OLD))
