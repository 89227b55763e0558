"""What one spec grants: its limits become rlimits, and a run without egress loses the right to open sockets.

Applied in the child when the spec is read, before any code of the flow runs.
"""

from __future__ import annotations

import ctypes
import resource
import struct
from collections.abc import Collection, Mapping
from typing import Any

from flowray_sandbox import landlock, memory, network, seccomp
from flowray_sandbox.batch import Batch, buffer

MIB = 1 << 20
_ADDRESS_SLACK = 1024 * MIB
_LIMIT = struct.Struct("=QQ")
_LIMITS = (
    resource.RLIMIT_DATA,
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_FSIZE,
)


class Allowance:
    """The calls that hold a child to its spec, written in the zygote, counted from what it uses when it is ready."""

    def __init__(self, lowered: Collection[str]) -> None:
        self._data = self._address_space = 0
        self._values = buffer(len(_LIMITS) * _LIMIT.size)
        self._batches = online, offline = self._written(Batch()), self._written(Batch())
        if "seccomp" not in lowered:
            offline.add("seccomp", 1, 0, seccomp.offline().kept_by(offline))
        self._online, self._offline = online.sealed(), offline.sealed()
        self._landlock = "landlock" not in lowered

    def measure(self) -> None:
        """Take what is in use now for what a child has before it does anything."""
        self._data = memory.in_use(resource.RLIMIT_DATA)
        self._address_space = memory.in_use(resource.RLIMIT_AS)

    def apply(self, spec: Mapping[str, Any]) -> None:
        """Hold the calling child to this spec, soft and hard, so that it cannot raise anything again."""
        self.count(spec)
        online = bool(spec.get("egress"))
        outcome = self._online() if online else self._offline()
        if outcome:
            raise self._batches[not online].failure(outcome)
        if online:
            self._open_doors(spec.get("doors") or {})

    def count(self, spec: Mapping[str, Any]) -> None:
        """Write down what this spec's limits are for a child with what it has already."""
        wanted = spec.get("limits") or {}
        most = int(wanted.get("memory_mib", 512)) * MIB
        values = (
            self._data + most,
            # Shared mappings count here only; the slack is for libraries and thread stacks, reserved and never used.
            self._address_space + most + _ADDRESS_SLACK,
            int(wanted.get("cpu_s", 300)),
            int(wanted.get("open_files", 256)),
            int(wanted.get("processes", 64)),
            int(wanted.get("file_mib", 64)) * MIB,
        )
        for place, value in enumerate(values):
            _LIMIT.pack_into(self._values, place * _LIMIT.size, value, value)

    def _open_doors(self, doors: Mapping[str, Any]) -> None:
        """Let the child find the hosts it may reach, and connect to nothing but the gate's listeners."""
        network.write_names(doors.get("names") or {})
        if self._landlock:
            landlock.connect_only_to(doors.get("ports") or (network.GATE[1],))

    def _written(self, batch: Batch) -> Batch:
        start = ctypes.addressof(self._values)
        for place, limit in enumerate(_LIMITS):
            batch.add("prlimit64", 0, limit, start + place * _LIMIT.size, 0)
        return batch
