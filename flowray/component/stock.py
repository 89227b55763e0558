"""What an environment image has: which modules can be imported there, from which distributions, and what those need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as _field
from functools import cached_property

# Where lfx looks for a module that is not there under its own name.
_STANDS_IN = {"langflow": "lfx", "langchain": "langchain_classic"}


@dataclass(frozen=True, kw_only=True)
class Stock:
    """One image's packages; `digest` names the image exactly.

    `names` are import names with the distributions that own them: `a.b` where `a` is shared by several. `standard` are
    the modules of its Python. `needs` are what each distribution requires directly, as they are here. `always` need no
    declaration.
    """

    image: str
    digest: str = ""
    names: Mapping[str, frozenset[str]] = _field(repr=False)
    standard: frozenset[str] = _field(default=frozenset(), repr=False)
    needs: Mapping[str, frozenset[str]] = _field(default_factory=dict, repr=False)
    always: frozenset[str] = _field(default=frozenset(), repr=False)

    def has(self, module: str) -> bool:
        """Whether a module of this dotted name, or one that lfx takes instead of it, may be imported here."""
        return self._owners(module) is not None

    def distributions(self, modules: Iterable[str]) -> frozenset[str]:
        """Return the distributions that these modules come from, and all that those need."""
        found: set[str] = set()
        waiting = [owner for module in modules for owner in self._owners(module) or ()]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.needs.get(one, ())
        return frozenset(found)

    def _owners(self, module: str) -> frozenset[str] | None:
        top, _, rest = module.partition(".")
        if top in self.standard:
            return frozenset()
        owners = self._nearest(module)
        if owners is None and top in _STANDS_IN:
            return self._nearest(f"{_STANDS_IN[top]}.{rest}")
        return owners

    def _nearest(self, module: str) -> frozenset[str] | None:
        """Return the owners of a module; None when it is neither a package here nor within one."""
        if module in self._shared:
            return frozenset()
        while module:
            if module in self.names:
                return self.names[module]
            module = module.rpartition(".")[0]
        return None

    @cached_property
    def _shared(self) -> frozenset[str]:
        """Names that are nothing but what several distributions have in common, such as `google`."""
        return frozenset(
            ".".join(parts[:count])
            for parts in (name.split(".") for name in self.names)
            for count in range(1, len(parts))
        ) - frozenset(self.names)
