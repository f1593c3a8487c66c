"""Race detection: who touched a granule of memory last, and since which barrier.

Per granule (the smallest access that the kernel makes): the last writer with the time of its
write, and the last reader, or the smallest group of threads that holds all of its readers, with
the time of the last read. Time is a counter that barriers advance. An access races with an
earlier one by another thread if one of them writes, not both are atomic, and no barrier lies
between: threads of one block are ordered by a block barrier between them, threads of one warp by
a warp barrier too, and threads of different blocks by nothing within a kernel.

A reader or writer is coded in one int32: a thread by its number + 1; several readers of one warp,
of one block, of several blocks by negative numbers, in this order. A writer whose last write was
atomic is coded by its number negated.

Reads are only noted, and entered when a write comes: between two barriers that all blocks pass
together, phases that only read shared memory cost nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

SEVERAL_BLOCKS = np.iinfo(np.int32).min + 1
_PENDING_LIMIT = 1 << 22  # noted reads, in granules


class Grouping(NamedTuple):
    """How threads are numbered: block by block, `block_size` each."""

    block_size: int
    warps_per_block: int
    blocks: int

    def warp(self, code: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The warp of a coded thread or warp, -1 for larger groups."""
        thread = np.abs(code) - 1
        block, inside = thread // self.block_size, thread % self.block_size
        own = block * self.warps_per_block + inside // 32
        warps = self.blocks * self.warps_per_block
        return np.where(code > 0, own, np.where(-code <= warps, -code - 1, -1))

    def block(self, code: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The block of a coded thread, warp or block, -1 for several."""
        warps = self.blocks * self.warps_per_block
        larger = np.where(-code <= warps + self.blocks, -code - 1 - warps, -1)
        in_warp = (-code - 1) // self.warps_per_block
        small = np.where(-code <= warps, in_warp, larger)
        return np.where(code > 0, (code - 1) // self.block_size, small)

    def merge(self, a: Int32, b: Int32) -> Int32:
        """The code of the smallest group that holds both."""
        a64, b64 = a.astype(np.int64), b.astype(np.int64)
        warp_a, warp_b = self.warp(a64), self.warp(b64)
        block_a, block_b = self.block(a64), self.block(b64)
        warps = self.blocks * self.warps_per_block
        same_block = np.where(
            (block_a == block_b) & (block_a >= 0), -1 - warps - block_a, SEVERAL_BLOCKS
        )
        wider = np.where((warp_a == warp_b) & (warp_a >= 0), -1 - warp_a, same_block)
        return np.where(a64 == b64, a64, wider).astype(np.int32)


class Actors(NamedTuple):
    """The threads of one access: numbers + 1, and when they last passed a barrier."""

    thread: Int32
    block_sync: Int32
    warp_sync: Int32
    now: int


class Race(NamedTuple):
    """Which of the accessing lanes race, and with whom (a code)."""

    lanes: Flags
    other: Int32
    other_writes: bool


class History:
    """The access history of one array, or of all blocks' shared memory."""

    def __init__(self, granules: int, grouping: Grouping, within_block: bool) -> None:
        """Start with nobody having touched any of the granules."""
        self._grouping = grouping
        self._within_block = within_block
        self._writer = np.zeros(granules, np.int32)
        self._write_time = np.zeros(granules, np.int32)
        self._reader = np.zeros(granules, np.int32)
        self._read_time = np.zeros(granules, np.int32)
        self._pending: list[tuple[npt.NDArray[np.int64], Actors]] = []
        self._pending_size = 0
        self._written = False

    def all_blocks_synchronised(self) -> None:
        """Every block has passed a barrier: within blocks nothing earlier can race any more."""
        if self._within_block:
            self._pending.clear()
            self._pending_size = 0
            self._written = False

    def read(
        self, granule: npt.NDArray[np.int64], actors: Actors, strong: bool
    ) -> Race | None:
        """Note a read; returns the race with an earlier write, if there is one."""
        race = None
        if self._written:
            writer = self._writer[granule]
            if strong:
                other = (writer > 0) & (writer != actors.thread)
            else:
                other = (writer != 0) & (np.abs(writer) != actors.thread)
            if other.any():
                race = self._race(other, np.abs(writer), self._write_time[granule], actors, True)
        if not strong:
            self._pending.append((granule, actors))
            self._pending_size += granule.size
            if self._pending_size > _PENDING_LIMIT:
                self._enter_reads()
        return race

    def write(
        self, granule: npt.NDArray[np.int64], actors: Actors, atomic: bool
    ) -> list[Race]:
        """Enter a write; returns its races with earlier accesses and within the instruction."""
        self._enter_reads()
        self._written = True
        races = []
        thread = actors.thread
        writer, reader = self._writer[granule], self._reader[granule]
        other = (writer > 0) if atomic else (writer != 0)
        other &= np.abs(writer) != thread
        if other.any():
            times = self._write_time[granule]
            races.append(self._race(other, np.abs(writer), times, actors, True))
        other = (reader != 0) & (reader != thread)
        if other.any():
            races.append(self._race(other, reader, self._read_time[granule], actors, False))
        # A thread's own plain write, followed by its atomic one, stays a plain write to others.
        own_plain = (writer == thread) & (self._write_time[granule] >= actors.block_sync)
        code = np.where(own_plain, thread, -thread) if atomic else thread
        self._writer[granule] = code
        self._write_time[granule] = actors.now
        if not atomic:
            last = self._writer[granule]
            clash = last != thread
            if clash.any():
                races.append(Race(clash, last, True))
        return [race for race in races if race is not None]

    def _race(
        self, other: Flags, code: Int32, time: Int32, actors: Actors, writes: bool
    ) -> Race | None:
        """Of the lanes in `other`, those that no barrier orders after the earlier access."""
        mine, theirs = actors.thread.astype(np.int64), code.astype(np.int64)
        unordered = time >= actors.block_sync
        same_warp = self._grouping.warp(mine) == self._grouping.warp(theirs)
        unordered &= ~(same_warp & (time < actors.warp_sync))
        if not self._within_block:
            unordered |= self._grouping.block(mine) != self._grouping.block(theirs)
        racing = other & unordered
        return Race(racing, code, writes) if racing.any() else None

    def _enter_reads(self) -> None:
        for granule, actors in self._pending:
            self._enter_read(granule, actors)
        self._pending.clear()
        self._pending_size = 0

    def _enter_read(self, granule: npt.NDArray[np.int64], actors: Actors) -> None:
        code = actors.thread
        before = self._reader[granule]
        shared = (before != 0) & (before != code)
        if shared.any():
            # An earlier reader of the own block that a barrier separates from this thread is
            # ordered before everything this thread's block will do: it can be forgotten.
            block = self._grouping.block
            own = block(before.astype(np.int64)) == block(code.astype(np.int64))
            stale = own & (self._read_time[granule] < actors.block_sync)
            merged = self._grouping.merge(before, code)
            code = np.where(shared & ~stale, merged, code).astype(np.int32)
        self._reader[granule] = code
        self._read_time[granule] = actors.now
        while True:  # lanes of one instruction that read the same granule; at most four rounds
            last = self._reader[granule]
            differs = last != code
            if not differs.any():
                return
            needed = self._grouping.merge(last[differs], code[differs])
            grown = needed != last[differs]
            if not grown.any():
                return
            self._reader[granule[differs][grown]] = needed[grown]
