"""What must hold of a run that went through everything: it is the run that nothing happened to."""

from __future__ import annotations

from tests.kit.simulation.world import CALM, Odds, World


def lived_through(seed: int, odds: Odds) -> World:
    """Run the same plan in a calm world and in a rough one, and hold them against each other."""
    calm, rough = World(seed, CALM), World(seed, odds)
    calm.run()
    rough.run()
    assert calm.state.verdict == rough.state.verdict, f"seed {seed}: {rough.state.verdict}"
    if not rough.skipped:
        assert rough.finished == calm.finished, f"seed {seed}: other values"
        assert rough.state.closed == calm.state.closed, f"seed {seed}: other branches"
    for node, times in rough.outside.did.items():
        assert times <= 1 or rough.plan.terms_of(node).effect != "skip", f"seed {seed}: {node} did it {times} times"
    return rough
