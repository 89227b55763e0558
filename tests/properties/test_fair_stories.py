"""The scheduler in clusters that exist in arithmetic only: no limit passed, everybody has a turn, shares by weight."""

from __future__ import annotations

import pytest

from tests.kit.simulation.turns import World, shares_under_saturation


@pytest.mark.parametrize("seed", range(2))
def test_no_story_passes_a_limit_and_in_the_end_everybody_had_a_turn(seed: int) -> None:
    world = World(seed)

    story = world.play(decisions=4_000)
    world.drain()

    assert story.granted > 500


@pytest.mark.parametrize("seed", range(2))
def test_the_same_story_gives_the_same_decisions(seed: int) -> None:
    first, second = (World(seed).play(decisions=1_500).trace for _ in range(2))

    assert first == second


@pytest.mark.parametrize("seed", [0, 3])
def test_under_saturation_everybody_gets_what_their_weight_says_within_5_percent(seed: int) -> None:
    got, promised = shares_under_saturation([1, 1, 2, 3, 5], seed=seed, decisions=4_000)

    for part, weight in zip(got, promised, strict=True):
        assert abs(part - weight) / weight < 0.05
