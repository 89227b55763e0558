"""One round of chaos: a service of its own, a load, a monkey, and the verdict over all that happened."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from tests.chaos.history import History, endings, faults
from tests.chaos.load import Load
from tests.chaos.monkey import Monkey
from tests.chaos.world import running_world
from tests.kit.service import running_service

_SETTLES_S = 240.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a round was."""

    seed: int
    took_s: float
    accepted: int
    refused: Mapping[str, int]
    done: Mapping[str, int]
    endings: Mapping[str, int]
    effects: int
    faults: tuple[str, ...]


def play(*, seed: int, for_s: float, callers: int = 4, pause_s: float = 0.2) -> Report:
    """Play for a time, wait until all that was accepted is over, and judge."""
    began = time.monotonic()
    with running_world() as world, running_service(world.host) as service:
        load, monkey = Load(service, world, seed=seed, callers=callers, pause_s=pause_s), Monkey(service, seed)
        load.start()
        monkey.play(for_s)
        load.stop()
        history = History(
            accepted=tuple(load.accepted), journals=load.journals(within_s=_SETTLES_S), effects=dict(world.effects)
        )
    return Report(
        seed=seed,
        took_s=round(time.monotonic() - began, 1),
        accepted=len(history.accepted),
        refused=dict(load.refused),
        done=dict(monkey.done),
        endings=dict(sorted(endings(history).items())),
        effects=sum(history.effects.values()),
        faults=tuple(faults(history)),
    )
