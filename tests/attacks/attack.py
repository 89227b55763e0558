"""An attack: a function that is sent as a component's source and tries to get past the walls.

The function's own text becomes part of a component, so it stands alone: its imports are inside it. It answers with a
sentence that begins with "held" when the wall held, and with "ESCAPED" when it did not. `ends` says what the trusted
side must report instead when the attack cannot live to answer: the failure kinds of a run.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from tests.attacks.numbers import NUMBERS

IMPORTS = """
from lfx.custom import Component
from lfx.io import MessageTextInput, Output
from lfx.schema import Data
"""
PRELUDE = f"""

NUMBERS = {NUMBERS}
"""
PRELUDE += '''

def numbers(names):
    """The numbers of these system calls, of those that the machine has."""
    return [NUMBERS[name] for name in names.split() if name in NUMBERS]


def refused(attempt, *arguments):
    """What came of an attempt that has to fail."""
    try:
        got = attempt(*arguments)
    except Exception as error:
        return f"held: {type(error).__name__}: {error}"
    return f"ESCAPED: {got!r}"[:300]


def all_refused(attempts):
    """The first attempt that got through, or "held"."""
    said = [refused(attempt) for attempt in attempts]
    return next((each for each in said if each.startswith("ESCAPED")), f"held: {len(said)} attempts: {said[-1]}")

'''
COMPONENT = """

class CustomComponent(Component):
    display_name = "Attack"
    name = "CustomComponent"
    inputs = [MessageTextInput(name="input_value", display_name="Input", value="")]
    outputs = [Output(name="output", display_name="Output", method="build_output")]

    def build_output(self) -> Data:
        return Data(value=str(ATTACK()))
"""


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack; `needs` names the wall that alone stops it, when there is only one."""

    name: str
    function: Callable[[], str]
    ends: frozenset[str]
    needs: str = ""

    @property
    def lasts(self) -> bool:
        """Whether it may go on until its time is up."""
        return "timeout" in self.ends

    @property
    def source(self) -> str:
        """The component's source."""
        return IMPORTS + self.bare + COMPONENT.replace("ATTACK", self.function.__name__)

    @property
    def bare(self) -> str:
        """The function alone, with what it calls."""
        text = textwrap.dedent(inspect.getsource(self.function))
        body = text[text.index("def ") :]
        return PRELUDE + body


ATTACKS: dict[str, Attack] = {}


def attack(*ends: str, needs: str = "") -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Register an attack; without `ends` it must live and say "held"."""

    def register(function: Callable[[], str]) -> Callable[[], str]:
        name = function.__name__
        ATTACKS[name] = Attack(name=name, function=function, ends=frozenset(ends), needs=needs)
        return function

    return register
