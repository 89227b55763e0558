"""Any secret at rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tenancy.test_sealing import HERE, OLD, sealer


@given(st.text(st.characters(codec=None), max_size=200))
def test_what_is_sealed_opens_again(secret: str) -> None:
    assert sealer(OLD).open(sealer(OLD).seal(secret, place=HERE), place=HERE) == secret
