"""What a recorded launch did wrong, whatever numbers came out.

The simulator runs the threads of a block one after the other, so that a race often gives the right
numbers. Here it is looked for in the table: two threads that touch one element, at least one of
them writing, with no barrier between. The kinds of defects are those of the interpreter of PTX.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.findings import (
    DIVERGENT_BARRIER,
    GLOBAL_RACE,
    OUT_OF_BOUNDS,
    SHARED_RACE,
    UNINITIALISED,
)
from refglow.lessons.puzzles.recording import ATOMIC, BARRIER, NO_INDEX, READ, WRITE, Recording

Flags = npt.NDArray[np.bool_]
_VERBS = {READ: "reads", WRITE: "writes", ATOMIC: "updates"}


def defects(recording: Recording, inputs: Collection[str],
            blank: Collection[str]) -> list[tuple[str, str]]:
    """(kind, sentence) of each kind of defect there is, the first place of each.

    Args:
        recording: of a launch.
        inputs: names of the arrays that must not be written.
        blank: names of the arrays that hold no numbers before the launch.
    """
    found = (outside(recording), divergent_barrier(recording), race(recording),
             written_input(recording, inputs), unwritten_read(recording, blank))
    return [defect for defect in found if defect is not None]


def outside(recording: Recording) -> tuple[str, str] | None:
    """The first access that is in no element of its array."""
    rows = recording.rows(recording.column("outside") == 1)
    if not len(rows.table):
        return None
    memory = recording.memories[rows.column("array")[0]]
    index = [int(rows.column(name)[0]) for name in ("i0", "i1", "i2")]
    index = [i for i in index if i != NO_INDEX]
    first, count = index[0], int(rows.column("count")[0])
    shown = f"{first}:{first + count}" if count > 1 else ", ".join(map(str, index))
    size = " x ".join(map(str, memory.shape))
    sentence = (f"{_who(rows)} {_does(rows)} {memory.name}[{shown}], outside of its "
                f"{size} elements{_line(rows)}")
    if min(index) < 0:
        sentence += "; Numba takes an index below 0 from the end, as Python does"
    return OUT_OF_BOUNDS, f"{sentence}."


def divergent_barrier(recording: Recording) -> tuple[str, str] | None:
    """A barrier that some threads of a block come to and others do not."""
    barriers = recording.of_kinds(BARRIER)
    for block in np.unique(barriers.column("block")):
        rows = barriers.rows(barriers.column("block") == block)
        for phase in np.unique(rows.column("phase")):
            at = rows.rows(rows.column("phase") == phase)
            here = set(at.column("thread").tolist())
            missing = sorted(set(range(recording.threads_of_block)) - here)
            if missing:
                return DIVERGENT_BARRIER, (
                    f"In block {block}, thread {min(here)} waits at the barrier"
                    f"{_line(at)} and thread {missing[0]} never comes to it: every thread of a "
                    "block must come to every barrier.")
            if len(set(at.column("place").tolist())) > 1:
                return DIVERGENT_BARRIER, (
                    f"In block {block}, threads wait at different barriers at the same time: every "
                    "thread of a block must come to the same one.")
    return None


def race(recording: Recording) -> tuple[str, str] | None:
    """Two threads at one element, not both reading or both atomic, and no barrier between."""
    rows = recording.elements()
    if not len(rows.table):
        return None
    array, first, block, phase = (rows.column(name) for name in ("array", "first", "block",
                                                                 "phase"))
    # Blocks are ordered by nothing, so elements that several of them touch are looked at as one.
    within = _conflicting((array, first, block, phase), rows.threads, rows.column("kind"))
    across = _conflicting((array, first), block, rows.column("kind"))
    for conflict in (within, across):
        if conflict is None:
            continue
        one, other = (rows.rows(np.arange(len(rows.table)) == k) for k in conflict)
        memory = recording.memories[one.column("array")[0]]
        kind = GLOBAL_RACE if memory.block is None else SHARED_RACE
        sentence = (f"{_who(one)} {_does(one)} {memory.name}[{_index(one)}]{_line(one)}, "
                    f"{_who(other).lower()} {_does(other)} it too{_line(other)}")
        why = ("no barrier between them says which comes first" if conflict is within
               else "nothing orders the blocks of a grid")
        return kind, f"{sentence}, and {why}."
    return None


def _conflicting(keys: tuple[npt.NDArray[np.int64], ...], who: npt.NDArray[np.int64],
                 kind: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    """The first two rows of one key by different `who` that conflict."""
    order = np.lexsort((np.arange(who.size), *reversed(keys)))
    starts = np.ones(who.size, np.bool_)
    starts[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    groups = np.split(order, np.flatnonzero(starts)[1:])
    best: tuple[int, int] | None = None
    for group in groups:
        if group.size < 2 or (kind[group] == READ).all() or (kind[group] == ATOMIC).all():
            continue
        for k in group[kind[group] != READ]:
            others = group[(who[group] != who[k]) & ~((kind[group] == ATOMIC)
                                                      & (kind[k] == ATOMIC))]
            if others.size:
                pair = min(int(k), int(others[0])), max(int(k), int(others[0]))
                best = pair if best is None or pair < best else best
                break
    return best


def written_input(recording: Recording, inputs: Collection[str]) -> tuple[str, str] | None:
    """A write to an array that is not a result."""
    rows = recording.of(*inputs).of_kinds(WRITE, ATOMIC)
    if not len(rows.table):
        return None
    name = recording.memories[rows.column("array")[0]].name
    return "write to an input", f"{_who(rows)} writes {name}, which is an input{_line(rows)}."


def unwritten_read(recording: Recording, blank: Collection[str]) -> tuple[str, str] | None:
    """A read of an element that nobody had written."""
    rows = recording.elements()
    numbers = [k for k, memory in enumerate(recording.memories)
               if memory.block is not None or memory.name in blank]
    written: set[tuple[int, int]] = set()
    for k, (array, first, kind) in enumerate(zip(
            rows.column("array").tolist(), rows.column("first").tolist(),
            rows.column("kind").tolist(), strict=True)):
        if array not in numbers:
            continue
        if kind == WRITE:
            written.add((array, first))
        elif (array, first) not in written:
            name = recording.memories[array].name
            one = rows.rows(np.arange(len(rows.table)) == k)
            return UNINITIALISED, (f"{_who(one)} {_does(one)} {name}[{_index(one)}]"
                                   f"{_line(one)}, which nobody has written.")
    return None


def never_written(recording: Recording, results: Sequence[str]) -> str | None:
    """The elements of the results that no thread writes, in a sentence."""
    for name in results:
        memory = recording.memory(name)
        rows = recording.of(name).of_kinds(WRITE, ATOMIC).elements()
        missing = np.setdiff1d(np.arange(memory.size), rows.column("first"))
        if missing.size:
            index = ", ".join(map(str, np.unravel_index(missing[0], memory.shape)))
            return (f"{missing.size} of the {memory.size} elements of {name} are never written, "
                    f"the first of them {name}[{index}].")
    return None


def _who(rows: Recording) -> str:
    return f"Thread {rows.column('thread')[0]} of block {rows.column('block')[0]}"


def _does(rows: Recording) -> str:
    return _VERBS[int(rows.column("kind")[0])]


def _line(rows: Recording) -> str:
    return f" in line {rows.column('line')[0]}"


def _index(rows: Recording) -> str:
    memory = rows.memories[rows.column("array")[0]]
    return ", ".join(map(str, np.unravel_index(int(rows.column("first")[0]), memory.shape)))
