"""Planted races: each is found, named and placed; its repaired twin is clean."""

import numpy as np
import pytest
from finding_helpers import clean, floats, one_finding
from numba import cuda, float32, int32

from refglow.kernels.ptx import compile_kernel, examine

F4, I4 = float32[::1], int32[::1]

# mypy: disable-error-code="no-untyped-def"


def reverse_without_barrier(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    out[t] = tile[63 - t]


def reverse_with_barrier(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncthreads()
    out[t] = tile[63 - t]


def test_missing_barrier_before_reading() -> None:
    arguments = floats(64), np.zeros(64, np.float32)
    finding = one_finding(reverse_without_barrier, (F4, F4), 1, 64, arguments)
    assert finding.kind == "race in shared memory"
    assert finding.thread == (0, 0, 0) and finding.count == 64
    assert finding.offset == 63 * 4
    assert "thread (63, 0, 0)" in finding.sentence and "written" in finding.sentence
    clean(reverse_with_barrier, (F4, F4), 1, 64, arguments)


def two_rounds_without_second_barrier(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    total = float32(0)
    for round_ in range(2):
        tile[t] = x[64 * round_ + t]
        cuda.syncthreads()
        total += tile[63 - t]
    out[t] = total


def two_rounds_with_second_barrier(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    total = float32(0)
    for round_ in range(2):
        tile[t] = x[64 * round_ + t]
        cuda.syncthreads()
        total += tile[63 - t]
        cuda.syncthreads()
    out[t] = total


def test_missing_barrier_before_overwriting() -> None:
    arguments = floats(128), np.zeros(64, np.float32)
    finding = one_finding(two_rounds_without_second_barrier, (F4, F4), 1, 64, arguments)
    assert finding.kind == "race in shared memory"
    assert "writes" in finding.sentence and "has read" in finding.sentence
    clean(two_rounds_with_second_barrier, (F4, F4), 1, 64, arguments)


def warp_exchange_without_syncwarp(x, out):
    tile = cuda.shared.array(32, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    out[t] = tile[t ^ 1]


def syncwarp_for_two_warps(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncwarp()
    out[t] = tile[t ^ 32]


def test_warp_barriers_order_their_own_warp_only() -> None:
    arguments = floats(64), np.zeros(64, np.float32)
    assert "shared" in one_finding(
        warp_exchange_without_syncwarp, (F4, F4), 1, 32, arguments
    ).kind
    assert "shared" in one_finding(syncwarp_for_two_warps, (F4, F4), 1, 64, arguments).kind


def all_write_one_place(out):
    out[0] = cuda.grid(1)


def sum_without_atomic(out):
    out[0] += 1


def sum_by_atomic(out):
    cuda.atomic.add(out, 0, 1)


def atomic_beside_plain_read(out):
    cuda.atomic.add(out, 0, 1)
    if out[0] > 1000:
        out[1] = 1


def test_races_in_global_memory() -> None:
    out = np.zeros(4, np.int32)
    assert one_finding(all_write_one_place, (I4,), 1, 32, (out,)).kind == "race in global memory"
    report = examine(compile_kernel(sum_without_atomic, (I4,)), 1, 32, (out,))
    assert {f.kind for f in report.findings} == {"race in global memory"}
    clean(sum_by_atomic, (I4,), 4, 32, (out,))
    finding = one_finding(atomic_beside_plain_read, (I4,), 1, 32, (out,))
    assert "reads out" in finding.sentence


def neighbour_block_reads(x, out):
    i = cuda.grid(1)
    x[i] = i
    cuda.syncthreads()
    out[i] = x[(i + 32) % x.size]


def own_block_reads(x, out):
    i = cuda.grid(1)
    x[i] = i
    cuda.syncthreads()
    out[i] = x[cuda.blockIdx.x * 32 + (cuda.threadIdx.x + 1) % 32]


@pytest.mark.parametrize("lanes", [1, 1 << 15], ids=["one block a wave", "one wave"])
def test_cross_block_race_is_found_whatever_the_waves(lanes: int) -> None:
    arguments = floats(96), np.zeros(96, np.float32)
    program = compile_kernel(neighbour_block_reads, (F4, F4))
    findings = examine(program, 3, 32, arguments, lanes_per_wave=lanes).findings
    assert findings  # the read races, the write, or both: whichever comes second
    assert {(f.kind, f.array) for f in findings} == {("race in global memory", "x")}
    clean(own_block_reads, (F4, F4), 3, 32, arguments, lanes_per_wave=lanes)


def reads_then_next_block_writes(x, out):
    i = cuda.grid(1)
    out[i] = x[i + 1]
    x[i] = 0


def test_write_after_read_by_another_block() -> None:
    arguments = floats(129), np.zeros(128, np.float32)
    finding = one_finding(reads_then_next_block_writes, (F4, F4), 4, 32, arguments)
    assert finding.kind == "race in global memory" and "has read" in finding.sentence


def last_reader_writes(x, out):
    tile = cuda.shared.array(1, float32)
    t = cuda.threadIdx.x
    if t == 0:
        tile[0] = x[0]
    cuda.syncthreads()
    out[t] = tile[0]
    if t == cuda.blockDim.x - 1:
        tile[0] = 0


def second_reader_writes(x, out):
    tile = cuda.shared.array(1, float32)
    t = cuda.threadIdx.x
    if t == 0:
        tile[0] = x[0]
    cuda.syncthreads()
    if t == 3:
        out[0] = tile[0]
    if t == 40:
        out[1] = tile[0] + out[2]
        tile[0] = 1


@pytest.mark.parametrize("block", [32, 64, 128])
def test_a_writer_that_read_last_does_not_hide_the_other_readers(block: int) -> None:
    arguments = floats(1), np.zeros(block, np.float32)
    finding = one_finding(last_reader_writes, (F4, F4), 1, block, arguments)
    assert finding.kind == "race in shared memory" and finding.thread == (block - 1, 0, 0)
    assert "another thread of block (0, 0, 0) has read" in finding.sentence


def test_readers_at_different_instructions_are_all_remembered() -> None:
    arguments = floats(1), np.zeros(64, np.float32)
    finding = one_finding(second_reader_writes, (F4, F4), 1, 64, arguments)
    assert finding.kind == "race in shared memory" and finding.thread == (40, 0, 0)


def last_block_reads_and_writes(x, out):
    i = cuda.grid(1)
    out[i] = x[0]
    if i == out.size - 1:
        x[0] = 1


@pytest.mark.parametrize("lanes", [1, 1 << 15], ids=["one block a wave", "one wave"])
def test_readers_in_several_blocks(lanes: int) -> None:
    arguments = floats(1), np.zeros(256, np.float32)
    finding = one_finding(
        last_block_reads_and_writes, (F4, F4), 4, 64, arguments, lanes_per_wave=lanes
    )
    assert finding.kind == "race in global memory" and finding.block == (3, 0, 0)
    assert "another block" in finding.sentence


def plain_write_after_atomic(out):
    t = cuda.threadIdx.x
    if t == 1:
        cuda.atomic.add(out, 0, 1)
    if t == 2:
        out[0] = 5


def test_a_plain_write_races_with_an_atomic() -> None:
    finding = one_finding(plain_write_after_atomic, (I4,), 1, 32, (np.zeros(1, np.int32),))
    assert finding.kind == "race in global memory" and finding.thread == (2, 0, 0)
    assert "thread (1, 0, 0)" in finding.sentence


def reads_of_an_earlier_phase(x, out):
    tile = cuda.shared.array(65, float32)
    t = cuda.threadIdx.x
    if t == 0:
        tile[0] = x[0]
    cuda.syncthreads()
    out[t] = tile[0]
    tile[t + 1] = 1
    cuda.syncthreads()
    if t == 40:
        out[t] += tile[0]
        tile[0] = 1
    cuda.syncthreads()
    out[t] += tile[0]


def test_readers_before_a_barrier_do_not_race_with_a_later_reader_that_writes() -> None:
    x, out = floats(1) + 3, np.zeros(64, np.float32)
    clean(reads_of_an_earlier_phase, (F4, F4), 1, 64, (x, out))
    np.testing.assert_array_equal(out, np.where(np.arange(64) == 40, 7, 4))
