"""What one sandbox may use: the numbers that travel in its spec and become rlimits, and the wall limit kept outside."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The defaults suit a flow that calls models; a pool or a component lowers or raises them."""

    wall_s: float = 300.0
    memory_mib: int = 512
    cpu_s: int = 300
    open_files: int = 256
    processes: int = 64
    file_mib: int = 64
