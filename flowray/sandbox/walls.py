"""The walls that an operator may lower, by name, where a machine cannot have them; and what each holds back alone."""

from __future__ import annotations

from typing import Literal

LowerableWall = Literal["landlock", "seccomp"]
