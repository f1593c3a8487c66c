"""Every access to memory goes through here: bounds, alignment, races, initialisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from refglow.kernels.ptx import findings as kinds
from refglow.kernels.ptx.address_space import Addresses, Int64, Region, Space
from refglow.kernels.ptx.counts import Counts
from refglow.kernels.ptx.layout import LOCAL_WINDOW, SHARED_WINDOW, WINDOW_BYTES
from refglow.kernels.ptx.races import Flags, History, Race
from refglow.kernels.ptx.traffic import Access, TrafficCounter, verb
from refglow.kernels.ptx.types import Lanes

if TYPE_CHECKING:
    from refglow.kernels.ptx.wave import Wave


@dataclass(frozen=True)
class Part:
    """Accesses that lie in one region.

    Attributes:
        space: the memory.
        offset: byte offsets into its `memory`.
        select: which of the instruction's active lanes these are; None for all.
    """

    space: Space
    offset: Int64
    select: Lanes | None


class MemorySystem:
    """The memories of a launch, their checks and their counts.

    Args:
        global_space: the global memory; each wave adds its shared and local memories.
        parameters: the bytes of the kernel's parameters, by name.
        granule: bytes that races and initialisation are tracked by, a power of two.
        counts: where to count.
        local_bytes: bytes of local memory per thread.
    """

    def __init__(
        self,
        global_space: Space,
        parameters: dict[str, bytes],
        granule: int,
        counts: Counts,
        local_bytes: int,
    ) -> None:
        """Start with global memory; each wave brings the others."""
        self.spaces = {"global": global_space}
        self.parameters = parameters
        self.granule_shift = np.int64(granule.bit_length() - 1)
        self.granule = granule
        self.counts = counts
        self.local_bytes = local_bytes
        self.shared_history: History | None = None
        self.shared_written: Flags | None = None
        self.shared_complete = False
        self.local_written: Flags | None = None
        self.traffic = TrafficCounter(counts)

    # Where an address lies.

    def parts(
        self, wave: Wave, lanes: Lanes | None, address: Addresses, access: Access
    ) -> Iterator[Part]:
        """The accesses that can be carried out, region by region; the rest become findings."""
        for space, inner, select in self._by_space(address, access):
            keep = self._aligned(wave, lanes, inner, select, access, space)
            if keep is not None:
                if not keep.size:
                    continue
                select = keep if select is None else select[keep]
                inner = inner[keep]
            region, numbers = space.find(inner, access.length)
            if region is not None:
                yield self._part(wave, lanes, inner, select, access, space, region)
                continue
            assert numbers is not None
            for number in np.unique(numbers).tolist():
                chosen = np.flatnonzero(numbers == number)
                some = chosen if select is None else select[chosen]
                if number < 0:
                    self._out_of_bounds(wave, lanes, inner[chosen], some, access, space)
                    continue
                region = space.regions[number]
                yield self._part(wave, lanes, inner[chosen], some, access, space, region)

    def _by_space(
        self, address: Addresses, access: Access
    ) -> Iterator[tuple[Space, Addresses, Lanes | None]]:
        name = "global" if access.space == "const" else access.space
        if name != "generic":
            yield self.spaces[name], address, None
            return
        left = np.ones(address.size, np.bool_)
        for window, name in ((SHARED_WINDOW, "shared"), (LOCAL_WINDOW, "local")):
            inside = (address >= window) & (address < window + WINDOW_BYTES)
            if inside.any():
                select = np.flatnonzero(inside)
                yield self.spaces[name], address[select] - np.uint64(window), select
                left &= ~inside
        if left.all():
            yield self.spaces["global"], address, None
        elif left.any():
            select = np.flatnonzero(left)
            yield self.spaces["global"], address[select], select

    def _aligned(
        self,
        wave: Wave,
        lanes: Lanes | None,
        address: Addresses,
        select: Lanes | None,
        access: Access,
        space: Space,
    ) -> Lanes | None:
        """None if all are aligned, else which are; a device would stop at the others."""
        mask = np.uint64(access.length - 1)
        if not np.bitwise_or.reduce(address) & mask:
            return None
        bad = (address & mask) != 0
        first = int(np.flatnonzero(bad)[0])
        region, _ = space.nearest(int(address[first]), access.length)
        self._report(
            wave, lanes, select, bad, access, kinds.MISALIGNED, region, address,
            f"{verb(access)} {access.length} bytes at address {int(address[first]):#x}, "
            f"which is not a multiple of {access.length}",
        )
        return np.flatnonzero(~bad)

    def _out_of_bounds(
        self,
        wave: Wave,
        lanes: Lanes | None,
        address: Addresses,
        select: Lanes,
        access: Access,
        space: Space,
    ) -> None:
        first = int(address[0])
        region, miss = space.nearest(first, access.length)
        if region is None:
            where = f"{space.name} memory, of which the kernel has none"
        elif miss < 0:
            where = f"{-miss} bytes before {region.name} ({region.size} bytes)"
        else:
            where = f"ending {miss} bytes past the end of {region.name} ({region.size} bytes)"
        self._report(
            wave, lanes, select, np.ones(address.size, np.bool_), access, kinds.OUT_OF_BOUNDS,
            region, address, f"{verb(access)} {access.length} bytes {where}",
        )

    def _report(
        self,
        wave: Wave,
        lanes: Lanes | None,
        select: Lanes | None,
        bad: Flags,
        access: Access,
        kind: str,
        region: Region | None,
        address: Addresses,
        sentence: str,
    ) -> None:
        found = np.flatnonzero(bad)
        first = int(address[found[0]])
        offset = None if region is None else first - region.start
        name = None if region is None else region.name
        active = wave.select(lanes, select)
        which = found if active is None else active[found]
        wave.report(kind, access.pc, which, sentence, name, offset, first)

    # What is checked and counted for accesses inside one region.

    def _part(
        self,
        wave: Wave,
        lanes: Lanes | None,
        address: Addresses,
        select: Lanes | None,
        access: Access,
        space: Space,
        region: Region,
    ) -> Part:
        active = wave.select(lanes, select)
        offset = (address - np.uint64(space.base)).view(np.int64)
        if space.name == "global":
            self._global(wave, active, address, offset, access, region)
        elif space.name == "shared":
            self.traffic.count_shared(wave.slots(active), address, access)
            offset = offset + wave.shared_base(active)
            self._shared(wave, active, address, offset, access, region)
        else:
            self.counts.local_accesses += address.size
            offset = offset + wave.local_base(active)
            if self.local_written is not None:
                self._initialised(
                    wave, active, address, offset >> self.granule_shift, access, region,
                    self.local_written,
                )
        return Part(space, offset, select)

    def _global(
        self,
        wave: Wave,
        active: Lanes | None,
        address: Addresses,
        offset: Int64,
        access: Access,
        region: Region,
    ) -> None:
        granule = (address - np.uint64(region.start)).view(np.int64) >> self.granule_shift
        if region.read_only and access.kind != "load":
            self._report(
                wave, active, None, np.ones(address.size, np.bool_), access, kinds.READ_ONLY,
                region, address, f"{verb(access)} {region.name}, which is read-only",
            )
        if region.written is not None:
            self._initialised(wave, active, address, granule, access, region, region.written)
        if region.history is not None:
            self._races(
                wave, active, address, granule, access, region, region.history, kinds.GLOBAL_RACE
            )
        self.traffic.count_global(wave.slots(active), offset, access, region.name)
        for flags, direction in ((region.loaded, "store"), (region.stored, "load")):
            if flags is not None and access.kind != direction:
                for k in self._granules(access):
                    flags[granule + k if k else granule] = True

    def _shared(
        self,
        wave: Wave,
        active: Lanes | None,
        address: Addresses,
        offset: Int64,
        access: Access,
        region: Region,
    ) -> None:
        granule = offset >> self.granule_shift
        if self.shared_written is not None and not self.shared_complete:
            self._initialised(wave, active, address, granule, access, region, self.shared_written)
        if self.shared_history is not None:
            self._races(
                wave, active, address, granule, access, region, self.shared_history,
                kinds.SHARED_RACE,
            )

    def _granules(self, access: Access) -> range:
        return range(max(access.length // self.granule, 1))

    def _initialised(
        self,
        wave: Wave,
        active: Lanes | None,
        address: Addresses,
        granule: Int64,
        access: Access,
        region: Region,
        written: Flags,
    ) -> None:
        for k in self._granules(access):
            place = granule + k if k else granule
            if access.kind != "store":
                known = written[place]
                if not known.all():
                    self._report(
                        wave, active, None, ~known, access, kinds.UNINITIALISED, region,
                        address + np.uint64(k * self.granule),
                        f"{verb(access)} {region.name} where nothing has been written",
                    )
            if access.kind != "load":
                written[place] = True

    def _races(
        self,
        wave: Wave,
        active: Lanes | None,
        address: Addresses,
        granule: Int64,
        access: Access,
        region: Region,
        history: History,
        kind: str,
    ) -> None:
        actors = wave.actors(active)
        for k in self._granules(access):
            place = granule + k if k else granule
            found: list[Race] = []
            if access.kind == "load":
                race = history.read(place, actors, access.strong)
                found = [race] if race is not None else []
            else:
                found = history.write(place, actors, access.strong)
            for race in found:
                lane = int(np.flatnonzero(race.lanes)[0])
                other = wave.describe_code(int(race.other[lane]))
                earlier = "written" if race.other_writes else "read"
                self._report(
                    wave, active, None, race.lanes, access, kind, region, address,
                    f"{verb(access)} {region.name} where {other} has {earlier} with no barrier "
                    "in between",
                )

    def barrier_passed_by_all(self) -> None:
        """Every live block of the wave has just passed a barrier."""
        if self.shared_history is not None:
            self.shared_history.all_blocks_synchronised()
        if self.shared_written is not None and not self.shared_complete:
            self.shared_complete = bool(self.shared_written.all())
