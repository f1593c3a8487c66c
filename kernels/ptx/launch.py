"""Launching a kernel on the interpreter: arguments to addresses, waves of blocks, the report."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.kernels.ptx.arguments import Bound, bind
from refglow.kernels.ptx.code import Code, decode
from refglow.kernels.ptx.counts import Counts, kind_of
from refglow.kernels.ptx.dataflow import written_names
from refglow.kernels.ptx.findings import Finding, FindingLog, FindingsError, Index3
from refglow.kernels.ptx.flatten import Program
from refglow.kernels.ptx.memory_system import MemorySystem
from refglow.kernels.ptx.races import History
from refglow.kernels.ptx.scheduler import Scheduler, Tally
from refglow.kernels.ptx.syntax import PtxError
from refglow.kernels.ptx.wave import Geometry, Wave, shared_and_local

# A wave's columns should stay in the processor's cache: 32768 lanes of 4 bytes are 128 KiB. Memory
# for registers is bounded by that and by the kernel's number of registers, whatever the grid.
LANES_PER_WAVE = 1 << 15
SHARED_BYTES_PER_WAVE = 1 << 26
BUDGET = 10_000_000


@dataclass(frozen=True)
class Report:
    """What one launch did.

    Attributes:
        kernel: the kernel's name.
        grid, block: the launch's shape.
        findings: what the checks found; empty for a kernel without known defects.
        counts: instructions and traffic.
        seconds: how long the interpretation took.
    """

    kernel: str
    grid: Index3
    block: Index3
    findings: list[Finding]
    counts: Counts
    seconds: float


def _three(shape: int | Sequence[int]) -> Index3:
    values = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    x, y, z = (*(int(v) for v in values), 1, 1)[:3]
    if not 1 <= len(values) <= 3 or min(x, y, z) < 1:
        raise PtxError(f"a grid or block of {shape}: one to three positive numbers are needed")
    return x, y, z


def examine(
    kernel: Program,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    args: Sequence[Any],
    *,
    shared_bytes: int = 0,
    names: Sequence[str] | None = None,
    uninitialised: Collection[str] = (),
    checks: bool = True,
    budget: int = BUDGET,
    lanes_per_wave: int = LANES_PER_WAVE,
) -> Report:
    """Run a kernel and report what it did; arrays among the arguments are written as it writes.

    Args:
        kernel: from `Module.kernel` or `compile_kernel`.
        grid, block: blocks per grid and threads per block: a number, or up to three, x first.
        args: one per parameter of the kernel's Python function: NumPy arrays (of any strides that
            the kernel was compiled for), numbers, booleans, tuples of these; or `Pointer(array)`
            for a bare pointer parameter.
        shared_bytes: dynamic shared memory per block, bytes.
        names: names of the arguments for findings and counts; "arg0", ... by default, or the
            Python function's own names if `compile_kernel` made the kernel.
        uninitialised: names of arrays that hold no values yet: reading before writing is a defect.
        checks: whether races and initialisation are watched. Without, the rest is still found:
            accesses out of bounds or misaligned, divergent barriers, deadlocks.
        budget: instructions that a wave of blocks may execute one after the other.
        lanes_per_wave: about how many threads run at a time.

    Returns:
        The report, with all findings. After findings of accesses out of bounds the arrays hold
        what the remaining accesses did.

    Raises:
        PtxError: an unknown instruction, arguments that do not fit the parameters, a bad launch.
    """
    start = time.perf_counter()
    geometry = Geometry(_three(grid), _three(block))
    if geometry.block_size > 1024:
        raise PtxError(f"{geometry.block_size} threads per block; a device allows 1024")
    code = decode(kernel, shared_bytes)
    bound = bind(kernel, code, args, names, uninitialised)
    counts = Counts(predicated=defaultdict(int))
    memory = MemorySystem(
        bound.space, bound.parameters, code.granule, counts, code.variables.local_bytes
    )
    _prepare_regions(kernel, code, bound, geometry, checks)
    log, tally = FindingLog(), Tally()
    per_wave = max(lanes_per_wave // geometry.block_size, 1)
    if code.variables.shared_bytes:
        per_wave = max(min(per_wave, SHARED_BYTES_PER_WAVE // code.variables.shared_bytes), 1)
    with np.errstate(all="ignore"):
        for first in range(0, geometry.blocks, per_wave):
            size = min(per_wave, geometry.blocks - first)
            shared_and_local(
                code, size, size * geometry.block_size, geometry.grouping, memory, checks
            )
            wave = Wave(code, geometry, first, size, memory, log, shared_bytes)
            if not Scheduler(code, wave, tally, budget).run():
                break
    bound.write_back()
    memory.traffic.count_unique_bytes(bound.space.regions, code.granule)
    _finish_counts(code, geometry, tally, counts)
    return Report(
        kernel.name, geometry.grid, geometry.block, log.all(), counts, time.perf_counter() - start
    )


def run(
    kernel: Program,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    args: Sequence[Any],
    **options: Any,
) -> Report:
    """Run a kernel as `examine` does, and fail if the checks find anything.

    Args:
        kernel, grid, block, args: see `examine`.
        **options: the keyword arguments of `examine`.

    Raises:
        FindingsError: lists the first findings and the totals; its `findings` has all.
        PtxError: see `examine`.
    """
    report = examine(kernel, grid, block, args, **options)
    if report.findings:
        raise FindingsError(report.kernel, report.findings)
    return report


def _prepare_regions(
    program: Program, code: Code, bound: Bound, geometry: Geometry, checks: bool
) -> None:
    """Give each region the shadow arrays that its checks and counts need."""
    written = written_names(program, {*bound.pointers, *code.variables.addresses})
    for region in bound.space.regions:
        granules = -(-region.size // code.granule)
        region.loaded = np.zeros(granules, np.bool_)
        region.stored = np.zeros(granules, np.bool_)
        own = bound.names_by_region[region.name]
        if checks and (written is None or own & written):
            region.history = History(granules, geometry.grouping, within_block=False)
        if checks and region.name in bound.uninitialised:
            region.written = np.zeros(granules, np.bool_)


def _finish_counts(code: Code, geometry: Geometry, tally: Tally, counts: Counts) -> None:
    instructions = code.program.instructions
    by_kind: dict[str, int] = {}
    for start, lanes in tally.lanes.items():
        for pc in range(start, code.blocks[start].end):
            instruction = instructions[pc]
            predicated = instruction.predicate is not None and pc not in code.predicates
            executed = counts.predicated[pc] if predicated else lanes
            kind = kind_of(instruction)
            by_kind[kind] = by_kind.get(kind, 0) + executed
            counts.warp_instructions += tally.warps[start]
    counts.by_kind = dict(sorted(by_kind.items()))
    counts.thread_instructions = sum(by_kind.values())
    counts.threads = geometry.blocks * geometry.block_size
    counts.branches = tally.branches
    counts.divergent_branches = tally.divergent_branches

