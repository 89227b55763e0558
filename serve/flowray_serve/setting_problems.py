"""What is wrong with a setting, in words that name its variable."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

_OF_A_NAME = "[key]"  # pydantic's mark that a name in a tree is wrong, and not what it names


def first_problem(cause: ValueError, settings: type[BaseModel], prefix: str, environment: Mapping[str, str]) -> str:
    """Return what the first problem is that `settings` had with the environment."""
    if not isinstance(cause, ValidationError):
        return _unreadable(cause, prefix, environment)
    problem: Any = cause.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in problem["loc"] if part != _OF_A_NAME]
    name = _variable(prefix, path)
    if problem["type"] == "extra_forbidden":
        known = [_variable(prefix, [*path[:-1], field]) for field in _beside(settings, path)]
        return f"There is no setting `{name}`. Did you mean `{nearest(name, known)}`? Else leave it out."
    reason = problem["msg"].removeprefix("Value error, ").rstrip(".")
    return f"The setting `{name}` is wrong: {reason}."


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the name that was most likely meant."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def _unreadable(cause: ValueError, prefix: str, environment: Mapping[str, str]) -> str:
    name, reason = "A setting", str(cause)
    broken = cause.__cause__
    if isinstance(broken, json.JSONDecodeError):
        # The settings' own words name the tree only; the text that was read belongs to a variable.
        owners = [one for one, text in environment.items() if text == broken.doc and one.upper().startswith(prefix)]
        name = f"The setting `{owners[0]}`" if owners else name
        reason = str(broken)
    return f"{name} cannot be read: {reason}. Trees and lists are given as JSON."


def _variable(prefix: str, path: Sequence[str]) -> str:
    return prefix + "__".join(path).upper()


def _beside(settings: type[BaseModel], path: Sequence[str]) -> Iterable[str]:
    """The fields that there are where a path ends; in trees by name (pools) its parts are names, too."""
    branch: Any = settings
    for part in path[:-1]:
        is_group = isinstance(branch, type) and issubclass(branch, BaseModel)
        branch = branch.model_fields[part].annotation if is_group else get_args(branch)[-1]
    fields: Iterable[str] = branch.model_fields
    return fields
