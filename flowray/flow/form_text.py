"""The form of a flow as text: YAML, in which a prompt stands as it reads."""

from __future__ import annotations

from typing import Any

import yaml

from flowray.errors import FlowFormatError

Raw = dict[str, Any]


class _Dumper(yaml.SafeDumper):
    """Writes each value where it is: no anchors, which people cannot follow."""

    def ignore_aliases(self, data: Any) -> bool:
        """See `yaml.SafeDumper`."""
        del data
        return True


class _InLines(_Dumper):
    """Writes text of several lines in lines."""


def _in_lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_InLines.add_representer(str, _in_lines)


def written(flow: Raw) -> str:
    """Return the text of a form's mapping, from which `parsed` makes the same mapping again."""
    for dumper in (_InLines, _Dumper):
        text = yaml.dump(flow, Dumper=dumper, sort_keys=False, allow_unicode=True, width=100_000)
        if _is_same(text, flow):
            return text
    return yaml.dump(flow, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=100_000, default_style='"')


def parsed(text: str, place: str = "The file") -> Raw:
    """Return the mapping that a text holds."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise FlowFormatError(f"{place} is not YAML: {' '.join(str(cause).split())[:300]}") from cause
    if not isinstance(found, dict):
        raise FlowFormatError(f"{place} holds no flow: its top level must be a mapping.")
    return found


def _is_same(text: str, flow: Raw) -> bool:
    try:
        return bool(yaml.safe_load(text) == flow)
    except yaml.YAMLError:
        return False
