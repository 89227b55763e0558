"""What a sandbox weighs where no control group can say so."""

import pytest

from flowray.sandbox.limits import niceness


@pytest.mark.parametrize(("weight", "nice"), [(100, 3), (50, 6), (3, 19), (1, 19), (1_000, 0)])
def test_the_lighter_a_step_the_nicer_its_sandbox_and_none_is_heavier_than_the_service(weight: int, nice: int) -> None:
    assert niceness(weight) == nice


def test_a_tenant_with_many_steps_weighs_about_as_much_as_one_with_few() -> None:
    def share(steps: int) -> float:
        return steps * 1.25 ** -niceness(round(100 / steps))

    assert share(16) == pytest.approx(share(1), rel=0.3)
