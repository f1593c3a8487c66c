"""Counting what memory accesses cost: sectors, bank conflicts, bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refglow.kernels.ptx.address_space import Addresses, Int64, Region
from refglow.kernels.ptx.counts import Counts, SharedTraffic, Traffic
from refglow.kernels.ptx.patterns import sectors, warp_rows, wavefronts
from refglow.kernels.ptx.syntax import Instruction


@dataclass(frozen=True)
class Access:
    """What one memory instruction does.

    Attributes:
        pc, instruction: which instruction.
        space: "global", "shared", "local", "const" or "generic".
        kind: "load", "store" or "atomic".
        size, count: bytes per element, and elements.
        strong: ordered by more than program order (volatile, relaxed, ..., atomics), so that two
            such accesses do not race.
    """

    pc: int
    instruction: Instruction
    space: str
    kind: str
    size: int
    count: int
    strong: bool

    @property
    def length(self) -> int:
        """Bytes accessed, and the alignment that PTX demands of the address."""
        return self.size * self.count


def verb(access: Access) -> str:
    """What an access does, for sentences."""
    return {"load": "reads", "store": "writes", "atomic": "updates"}[access.kind]


class TrafficCounter:
    """Enters accesses into a launch's counts.

    What a pattern of addresses costs is remembered: most instructions repeat few patterns.
    """

    def __init__(self, counts: Counts) -> None:
        """Count into `counts`."""
        self._counts = counts
        self._sector_counts: dict[int, int] = {}
        self._wavefront_counts: dict[tuple[int, int], tuple[int, int]] = {}

    def count_global(
        self, slots: Int64 | None, offset: Int64, access: Access, name: str
    ) -> None:
        """Count one instruction's accesses to the global array of that name."""
        found = warp_rows(offset, slots)
        key = int(found.hashes[0])
        if found.hashes.size == 1 and key in self._sector_counts:
            touched = self._sector_counts[key] * int(found.counts[0])
        else:
            per_row = sectors(found.rows)
            if found.hashes.size == 1:
                self._sector_counts[key] = int(per_row[0])
            touched = int(per_row @ found.counts)
        by_array = {
            "load": self._counts.loads, "store": self._counts.stores, "atomic": self._counts.atomics
        }[access.kind]
        traffic = by_array.setdefault(name, Traffic())
        traffic.requests += int(found.counts.sum())
        traffic.threads += offset.size
        traffic.bytes_requested += offset.size * access.length
        traffic.sectors += touched

    def count_shared(self, slots: Int64 | None, address: Addresses, access: Access) -> None:
        """Count one instruction's accesses to shared memory."""
        found = warp_rows(address.view(np.int64), slots)
        key = (int(found.hashes[0]), access.length)
        if found.hashes.size == 1 and key in self._wavefront_counts:
            passes, fewest = self._wavefront_counts[key]
            worst = passes / fewest
            repeat = int(found.counts[0])
            passes, fewest = passes * repeat, fewest * repeat
        else:
            per_row, fewest_per_row = wavefronts(found.rows, access.length)
            if found.hashes.size == 1:
                self._wavefront_counts[key] = (int(per_row[0]), int(fewest_per_row[0]))
            worst = float((per_row / fewest_per_row).max())
            passes = int(per_row @ found.counts)
            fewest = int(fewest_per_row @ found.counts)
        load = access.kind == "load"
        traffic: SharedTraffic = self._counts.shared_loads if load else self._counts.shared_stores
        traffic.requests += int(found.counts.sum())
        traffic.wavefronts += passes
        traffic.ideal_wavefronts += fewest
        traffic.worst_ways = max(traffic.worst_ways, worst)

    def count_unique_bytes(self, regions: list[Region], granule: int) -> None:
        """Enter the bytes touched at all into the counts, at a launch's end."""
        for region in regions:
            for flags, by_array in (
                (region.loaded, (self._counts.loads, self._counts.atomics)),
                (region.stored, (self._counts.stores, self._counts.atomics)),
            ):
                if flags is None:
                    continue
                touched = int(np.count_nonzero(flags)) * granule
                for traffic in by_array:
                    if region.name in traffic:
                        traffic[region.name].unique_bytes = touched
