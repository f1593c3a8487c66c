"""The state of the threads that run at the same time: whole blocks, one lane per thread."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.address_space import Int64, Space
from refglow.kernels.ptx.code import Code
from refglow.kernels.ptx.findings import Finding, FindingLog, Index3
from refglow.kernels.ptx.memory_system import MemorySystem
from refglow.kernels.ptx.races import SEVERAL_BLOCKS, Actors, Grouping, History
from refglow.kernels.ptx.types import NUMPY_TYPE, Column, Lanes

_LANE_MASKS = {
    "lanemask_eq": lambda lane: 1 << lane,
    "lanemask_lt": lambda lane: (1 << lane) - 1,
    "lanemask_le": lambda lane: (2 << lane) - 1,
    "lanemask_gt": lambda lane: ~((2 << lane) - 1),
    "lanemask_ge": lambda lane: ~((1 << lane) - 1),
}


class Geometry:
    """Grid and block of a launch, and how threads are numbered: x fastest, block by block."""

    def __init__(self, grid: Index3, block: Index3) -> None:
        """Work out the sizes."""
        self.grid, self.block = grid, block
        self.block_size = math.prod(block)
        self.blocks = math.prod(grid)
        self.warps_per_block = -(-self.block_size // 32)
        self.grouping = Grouping(self.block_size, self.warps_per_block, self.blocks)

    def thread_index(self, number: int) -> tuple[Index3, Index3]:
        """The (block, thread) indices of the thread with that number."""
        block, inside = divmod(number, self.block_size)
        return self.block_index(block), _unravel(inside, self.block)

    def block_index(self, number: int) -> Index3:
        """The index (x, y, z) of the block with that number."""
        return _unravel(number, self.grid)


def _unravel(number: int, shape: Index3) -> Index3:
    x, y, _ = shape
    return number % x, number // x % y, number // (x * y)


class Wave:
    """Registers, clocks and numbers of the lanes of some consecutive blocks."""

    def __init__(
        self,
        code: Code,
        geometry: Geometry,
        first_block: int,
        block_count: int,
        memory: MemorySystem,
        log: FindingLog,
        shared_bytes: int,
    ) -> None:
        """Start the threads of some consecutive blocks, their registers zero."""
        self._code, self._geometry, self._log = code, geometry, log
        self._first_block, self.block_count = first_block, block_count
        self.memory, self.counts = memory, memory.counts
        self.size = block_count * geometry.block_size
        self._dynamic_shared = shared_bytes
        lanes = np.arange(self.size)
        self._block = lanes // geometry.block_size
        self._inside = lanes - self._block * geometry.block_size
        self._slot = self._block * (32 * geometry.warps_per_block) + self._inside
        self.slot_count = block_count * geometry.warps_per_block * 32
        self._full_warps = geometry.block_size % 32 == 0
        first = first_block * geometry.block_size
        self._thread = (lanes + first + 1).astype(np.int32)
        self.now = 0
        self.block_sync = np.zeros(self.size, np.int32)
        self.warp_sync = np.zeros(self.size, np.int32)
        self.columns: list[Column] = [
            np.broadcast_to(NUMPY_TYPE[register.type].type(0), self.size)
            for register in code.columns
        ]
        self.assigned = {number: np.zeros(self.size, np.bool_) for number in code.tracked}
        self._special: dict[str, npt.NDArray[np.uint32] | None] = {}
        self._shared_stride = code.variables.shared_bytes
        self._local_stride = code.variables.local_bytes

    # Registers.

    def write(self, number: int, lanes: Lanes | None, value: Column) -> None:
        """Set a register's column for the active lanes; takes over `value` if all are."""
        if lanes is None:
            self.columns[number] = value if value.ndim else np.broadcast_to(value, self.size)
            return
        column = self.columns[number]
        if not column.flags.writeable:
            column = self.columns[number] = np.array(column)
        if column.dtype is not value.dtype:
            column = column.view(value.dtype)
        column[lanes] = value

    def register_name(self, number: int) -> str:
        """The PTX name of the register in that column."""
        return next(r.name for r, column in self._code.columns.items() if column == number)

    def special(self, name: str) -> npt.NDArray[np.uint32] | None:
        """The column of a special register; None if there is no such register here."""
        if name not in self._special:
            self._special[name] = self._make_special(name)
        return self._special[name]

    def _make_special(self, name: str) -> npt.NDArray[np.uint32] | None:
        geometry = self._geometry
        base, _, axis = name.partition(".")
        value: Any = None
        if axis in ("x", "y", "z") and base in ("tid", "ntid", "ctaid", "nctaid"):
            place = "xyz".index(axis)
            shape = geometry.block if base in ("tid", "ntid") else geometry.grid
            stride = math.prod(shape[:place])
            if base in ("ntid", "nctaid"):
                value = shape[place]
            elif base == "tid":
                value = self._inside // stride % shape[place]
            else:
                value = (self._block + self._first_block) // stride % shape[place]
        elif name == "laneid":
            value = self._slot & 31
        elif name == "warpid":
            value = self._inside >> 5
        elif name == "nwarpid":
            value = geometry.warps_per_block
        elif name in _LANE_MASKS:
            value = np.array([_LANE_MASKS[name](lane) & 0xFFFFFFFF for lane in range(32)])
            value = value[self._slot & 31]
        elif name == "dynamic_smem_size":
            value = self._dynamic_shared
        if value is None:
            return None
        return np.broadcast_to(np.asarray(value).astype(np.uint32), self.size)

    # Who is active.

    @staticmethod
    def select(lanes: Lanes | None, select: Lanes | None) -> Lanes | None:
        """The lanes at positions `select` of `lanes`, None standing for all."""
        if select is None:
            return lanes
        return select if lanes is None else lanes[select]

    def slots(self, lanes: Lanes | None) -> Int64 | None:
        """warp * 32 + lane in warp of the active lanes; None if these are all slots in order."""
        if lanes is None and self._full_warps:
            return None
        return self.all_slots(lanes)

    def all_slots(self, lanes: Lanes | None) -> Int64:
        """warp * 32 + lane in warp of the active lanes."""
        return self._slot if lanes is None else self._slot[lanes]

    def positions(self, lanes: Lanes | None) -> Int64:
        """Per slot, the position of its lane among the active ones, -1 if it is not active."""
        slots = self.all_slots(lanes)
        found = np.full(self.slot_count, -1)
        found[slots] = np.arange(slots.size)
        return found

    def warps(self, lanes: Lanes) -> int:
        """How many warps the lanes, ascending, belong to."""
        if lanes.size == self.size:
            return self.slot_count // 32
        if not lanes.size:
            return 0
        warp = self._slot[lanes] >> 5
        return 1 + int(np.count_nonzero(warp[1:] != warp[:-1]))

    def block_of(self, lanes: Lanes | None) -> Int64:
        """The number of each lane's block within the wave."""
        return self._block if lanes is None else self._block[lanes]

    def shared_base(self, lanes: Lanes | None) -> Int64:
        """Where each lane's block's shared memory begins."""
        return self.block_of(lanes) * self._shared_stride

    def local_base(self, lanes: Lanes | None) -> Int64:
        """Where each lane's local memory begins."""
        number = np.arange(self.size) if lanes is None else lanes
        return number * self._local_stride

    def actors(self, lanes: Lanes | None) -> Actors:
        """The active lanes' threads and when they last passed barriers."""
        if lanes is None:
            return Actors(self._thread, self.block_sync, self.warp_sync, self.now)
        return Actors(
            self._thread[lanes], self.block_sync[lanes], self.warp_sync[lanes], self.now
        )

    def synchronise(self, lanes: Lanes, whole_block: bool) -> None:
        """Note that the lanes have just passed a barrier of their blocks or of their warps."""
        self.now += 1
        # New arrays: noted accesses keep the old ones.
        self.warp_sync = self.warp_sync.copy()
        self.warp_sync[lanes] = self.now
        if whole_block:
            self.block_sync = self.block_sync.copy()
            self.block_sync[lanes] = self.now

    # Findings.

    def report(
        self,
        kind: str,
        pc: int,
        lanes: Lanes,
        sentence: str,
        array: str | None = None,
        offset: int | None = None,
        address: int | None = None,
    ) -> None:
        """Record a finding of the given lanes at an instruction."""
        program = self._code.program
        instruction = program.instructions[pc]
        block, thread = self._geometry.thread_index(int(self._thread[lanes[0]]) - 1)
        source = instruction.source
        if source is not None:
            number, _, line = source.partition(":")
            source = f"{program.source_files.get(number, number)}:{line}"
        self._log.add(
            Finding(
                kind, program.name, instruction.line, instruction.name, source, block, thread,
                array, offset, address, sentence, len(lanes),
            )
        )

    def describe_code(self, code: int) -> str:
        """Who a code of an access history stands for."""
        geometry = self._geometry
        if code == SEVERAL_BLOCKS:
            return "a thread of another block"
        wide = np.array([code], np.int64)
        block = geometry.block_index(int(geometry.grouping.block(wide)[0]))
        if abs(code) == code:
            return f"thread {geometry.thread_index(code - 1)[1]} of block {block}"
        return f"another thread of block {block}"


def shared_and_local(
    code: Code, blocks: int, threads: int, grouping: Grouping, memory: MemorySystem, tracks: bool
) -> None:
    """Give a wave fresh shared and local memory, with nothing written yet."""
    variables = code.variables
    for name, stride, copies in (
        ("shared", variables.shared_bytes, blocks),
        ("local", variables.local_bytes, threads),
    ):
        content = np.zeros(max(stride * copies, 16), np.uint8)
        memory.spaces[name] = Space(name, 0, variables.regions[name], content)
    memory.shared_history = memory.shared_written = memory.local_written = None
    memory.shared_complete = False
    if not tracks:
        return
    granule = memory.granule
    memory.shared_written = _unwritten(code, "shared", variables.shared_bytes, blocks, granule)
    memory.local_written = _unwritten(code, "local", variables.local_bytes, threads, granule)
    if variables.shared_bytes:
        total = variables.shared_bytes * blocks // granule
        memory.shared_history = History(total, grouping, within_block=True)


def _unwritten(
    code: Code, name: str, stride: int, copies: int, granule: int
) -> npt.NDArray[np.bool_] | None:
    """Per granule of all copies, False inside variables and True in the gaps between."""
    if not stride:
        return None
    one = np.ones(stride // granule, np.bool_)
    for region in code.variables.regions[name]:
        one[region.start // granule : -(-(region.start + region.size) // granule)] = False
    return np.tile(one, copies)
