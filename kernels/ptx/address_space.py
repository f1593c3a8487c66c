"""The simulated memories: arrays and variables at addresses of their own, with gaps between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.races import Flags, History
from refglow.kernels.ptx.types import UNSIGNED

Int64 = npt.NDArray[np.int64]
Addresses = npt.NDArray[np.uint64]


@dataclass
class Region:
    """One array or variable in a space.

    Attributes:
        name: what findings and counts call it.
        start, size: in bytes, in its space's own addresses.
        read_only: whether writing to it is a defect.
        written: per granule, whether anyone has written it; None where it holds values from the
            start. For shared memory this and `history` belong to the space.
        history: for races; None where nobody can write.
        loaded, stored: per granule, whether it was accessed at all.
    """

    name: str
    start: int
    size: int
    read_only: bool = False
    written: Flags | None = None
    history: History | None = None
    loaded: Flags | None = None
    stored: Flags | None = None


@dataclass
class Space:
    """A memory with its regions in ascending order of address.

    Attributes:
        name: "global", "shared" or "local".
        base: the address of the first byte of `memory`.
        memory: its bytes; for shared and local memory those of all blocks or threads.
    """

    name: str
    base: int
    regions: list[Region]
    memory: npt.NDArray[np.uint8]
    views: dict[int, npt.NDArray[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.views = {size: self.memory.view(dtype) for size, dtype in UNSIGNED.items()}
        self._starts = np.array([r.start for r in self.regions], np.uint64)
        self._ends = np.array([r.start + r.size for r in self.regions], np.uint64)

    def find(self, address: Addresses, length: int) -> tuple[Region | None, Int64 | None]:
        """The region that holds all accesses; or None and each access's region number, -1 for none.

        Args:
            address: first bytes, at least one.
            length: bytes accessed from each.
        """
        low, high = int(address.min()), int(address.max())
        number = int(np.searchsorted(self._starts, np.uint64(low), side="right")) - 1
        if number >= 0:
            region = self.regions[number]
            if high + length <= region.start + region.size:
                return region, None
        if not self.regions:
            return None, np.full(address.size, -1)
        numbers = np.searchsorted(self._starts, address, side="right").astype(np.int64) - 1
        last = np.maximum(numbers, 0)
        inside = (numbers >= 0) & (address < self._ends[last])
        # The subtraction cannot wrap: the address is below the end.
        inside &= (self._ends[last] - np.where(inside, address, self._ends[last])) >= length
        return None, np.where(inside, numbers, -1)

    def nearest(self, address: int, length: int) -> tuple[Region | None, int]:
        """The region nearest to an access, and by how many bytes the access misses it.

        Negative: the access begins that many bytes before the region; positive: it ends that many
        bytes behind it.
        """
        best: Region | None = None
        miss = 0
        for region in self.regions:
            before = address - region.start
            behind = address + length - (region.start + region.size)
            distance = before if before < 0 else max(behind, 0)
            if best is None or abs(distance) < abs(miss):
                best, miss = region, distance
        return best, miss
