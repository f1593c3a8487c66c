"""What a kernel did in the simulator: every access to memory, one row of a table for each.

The table comes from the process in which the kernel ran (`simulated.py`); what it says is found
out here, without running anything: defects in `defects.py`, the cost of it in `traffic.py`,
pictures in `picture.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array

READ, WRITE, ATOMIC, BARRIER = range(4)  # kinds

# Columns. A `place` is an instruction of the kernel's compiled Python, a `turn` how many times the
# thread had come there before, a `phase` how many barriers it had passed. `first` is the element's
# number where the array is flat, `count` how many elements the one access takes.
COLUMNS = ("block", "thread", "phase", "place", "turn", "array", "first", "count", "kind",
           "outside", "i0", "i1", "i2", "line")
NO_INDEX = -(2**62)  # i1 and i2 of an array with fewer dimensions


@dataclass(frozen=True)
class Memory:
    """An array that a kernel works on.

    Attributes:
        name: the parameter's, or "shared" and a number.
        shape: in elements.
        itemsize: bytes of an element.
        block: the block whose shared memory it is; None for an array of the whole grid.
    """

    name: str
    shape: tuple[int, ...]
    itemsize: int
    block: int | None

    @property
    def size(self) -> int:
        """How many elements."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Recording:
    """One launch.

    Attributes:
        grid, block: blocks, and threads of a block, x first.
        memories: the arrays, in the order of their numbers in the column "array".
        table: int64, a row for each access and barrier in the order of the simulator.
        results: the arrays of the arguments as they are after the launch, by name.
    """

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    memories: tuple[Memory, ...]
    table: npt.NDArray[np.int64]
    results: dict[str, Array]

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """The column of the table with that name."""
        found: npt.NDArray[np.int64] = self.table[:, COLUMNS.index(name)]
        return found

    def rows(self, chosen: npt.NDArray[np.bool_]) -> Recording:
        """The same launch with the rows that are chosen."""
        return Recording(self.grid, self.block, self.memories, self.table[chosen], self.results)

    def of(self, *names: str) -> Recording:
        """The same launch with the accesses to the arrays of these names."""
        return self._of([memory.name in names for memory in self.memories])

    def of_shared_memory(self) -> Recording:
        """The same launch with the accesses to shared memory."""
        return self._of([memory.block is not None for memory in self.memories])

    def of_kinds(self, *kinds: int) -> Recording:
        """The same launch with the rows of these kinds."""
        return self.rows(np.isin(self.column("kind"), kinds))

    def inside(self) -> Recording:
        """The same launch with the accesses that are in their array."""
        return self.rows((self.column("kind") != BARRIER) & (self.column("outside") == 0))

    def memory(self, name: str) -> Memory:
        """The first array of that name."""
        return next(memory for memory in self.memories if memory.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays of the arguments."""
        return tuple(memory.name for memory in self.memories if memory.block is None)

    @property
    def threads_of_block(self) -> int:
        """How many threads a block has."""
        return int(np.prod(self.block))

    @property
    def threads(self) -> npt.NDArray[np.int64]:
        """The thread of each row, counted through all blocks."""
        return self.column("block") * self.threads_of_block + self.column("thread")

    def elements(self) -> Recording:
        """The same launch with a row for each element of an access, those outside left out."""
        inside = self.inside()
        counts = inside.column("count")
        rows = np.repeat(inside.table, counts, axis=0)
        ends = np.cumsum(counts)
        lanes = np.arange(len(rows)) - np.repeat(ends - counts, counts)
        rows[:, COLUMNS.index("first")] += lanes
        rows[:, COLUMNS.index("count")] = 1
        return Recording(self.grid, self.block, self.memories, rows, self.results)

    def _of(self, chosen: Sequence[bool]) -> Recording:
        """The same launch with the accesses to some of its arrays."""
        return self.rows(np.isin(self.column("array"), np.flatnonzero(chosen)))
