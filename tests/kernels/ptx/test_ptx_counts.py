"""Counts that can be worked out by hand: instructions, sectors, bank conflicts, divergence."""

from typing import Any

import numpy as np
import pytest
from numba import cuda, float32, float64, int32
from vector_intrinsics import load4, store4

from refglow.kernels.ptx import Counts, Module, Pointer, compile_kernel, run

F4, F8, I4 = float32[::1], float64[::1], int32[::1]

# mypy: disable-error-code="no-untyped-def"


def counts_of(kernel: Any, signature: Any, grid: int, block: int, *arguments: Any) -> Counts:
    return run(compile_kernel(kernel, signature), grid, block, arguments).counts


def aligned(size: int) -> np.ndarray:
    """float32 zeros that begin at a multiple of 256 bytes."""
    x = np.zeros(size + 64, np.float32)
    start = -(x.ctypes.data // 4) % 64
    return x[start : start + size]


def copy_coalesced(x, out):
    i = cuda.grid(1)
    out[i] = x[i]


def copy_strided(x, out):
    i = cuda.grid(1)
    out[i] = x[8 * i]


def copy_broadcast(x, out):
    out[cuda.grid(1)] = x[0]


def copy_vectorized(x, out):
    i = 4 * cuda.grid(1)
    store4(out, i, load4(x, i))


def test_coalesced_copy() -> None:
    counts = counts_of(copy_coalesced, (F4, F4), 4, 64, aligned(256), aligned(256))
    for traffic in (counts.loads["x"], counts.stores["out"]):
        assert traffic.requests == 8 and traffic.threads == 256
        assert traffic.sectors == 32 and traffic.sectors_per_request == 4
        assert traffic.ideal_sectors == 32
        assert traffic.bytes_requested == traffic.unique_bytes == traffic.sector_bytes == 1024
    assert counts.by_kind["load.global"] == counts.by_kind["store.global"] == 256
    assert counts.per_thread("load.global") == 1
    assert counts.total(counts.loads).requests == 8


def test_uncoalesced_read_is_told_by_its_sectors() -> None:
    counts = counts_of(copy_strided, (F4, F4), 4, 64, aligned(2048), aligned(256))
    assert counts.loads["x"].sectors_per_request == 32
    assert counts.loads["x"].sector_bytes == 8 * counts.loads["x"].unique_bytes
    assert counts.stores["out"].sectors_per_request == 4


def test_a_misplaced_array_costs_one_sector_more() -> None:
    counts = counts_of(copy_coalesced, (F4, F4), 1, 32, aligned(64)[4:36], aligned(64)[2:34])
    assert counts.stores["out"].sectors == 5


def sum_of_the_other_thirds(x):
    i = cuda.grid(1)
    x[i] = x[i + 64] + x[i + 128]


def test_unique_bytes_are_told_apart_by_direction() -> None:
    counts = counts_of(sum_of_the_other_thirds, (F4,), 1, 64, aligned(192))
    assert counts.loads["x"].unique_bytes == 2 * 256 == counts.loads["x"].bytes_requested
    assert counts.stores["x"].unique_bytes == 256


def test_broadcast_and_vector_accesses() -> None:
    counts = counts_of(copy_broadcast, (F4, F4), 1, 64, aligned(64), aligned(64))
    assert counts.loads["x"].sectors == 2 and counts.loads["x"].unique_bytes == 4
    counts = counts_of(copy_vectorized, (F4, F4), 1, 64, aligned(256), aligned(256))
    assert counts.loads["x"].requests == 2 and counts.loads["x"].sectors_per_request == 16
    assert counts.loads["x"].bytes_requested == counts.stores["out"].unique_bytes == 1024


@pytest.mark.parametrize(("stride", "ways"), [(1, 1), (2, 2), (3, 1), (8, 8), (32, 32), (33, 1)])
def test_bank_conflicts_of_strided_access(stride: int, ways: int) -> None:
    def kernel(x, out):
        tile = cuda.shared.array(33 * 32, float32)
        t = cuda.threadIdx.x
        tile[t * stride] = x[t]
        cuda.syncthreads()
        out[t] = tile[t * stride]

    counts = counts_of(kernel, (F4, F4), 1, 32, aligned(32), aligned(32))
    for traffic in (counts.shared_loads, counts.shared_stores):
        assert traffic.requests == traffic.ideal_wavefronts == 1
        assert traffic.wavefronts == traffic.worst_ways == ways
        assert traffic.conflicts == ways - 1


def test_bank_conflict_is_repaired_by_padding() -> None:
    def transpose(width):
        def kernel(x, out):
            tile = cuda.shared.array((32, width), float32)
            t = cuda.threadIdx.x
            for row in range(32):
                tile[row, t] = x[32 * row + t]
            cuda.syncwarp()
            for row in range(32):
                out[32 * row + t] = tile[t, row]

        return counts_of(kernel, (F4, F4), 1, 32, aligned(1024), aligned(1024))

    assert transpose(32).shared_loads.worst_ways == 32
    assert transpose(33).shared_loads.worst_ways == 1


def test_random_access_equals_a_count_by_hand() -> None:
    def kernel(index, x, out):
        tile = cuda.shared.array(512, float32)
        i = cuda.grid(1)
        t = cuda.threadIdx.x
        for k in range(4):
            tile[t + 128 * k] = x[t + 128 * k]
        cuda.syncthreads()
        out[i] = tile[index[i]] + x[index[i]]

    index = np.random.default_rng(0).integers(0, 512, 1024).astype(np.int32)
    out = np.zeros(1024, np.float32)
    counts = counts_of(kernel, (I4, F4, F4), 8, 128, index, aligned(512), out)
    rows = index.reshape(-1, 32)
    passes = sum(max(np.bincount(np.unique(row) % 32)) for row in rows)
    assert counts.shared_loads.wavefronts == passes
    assert counts.shared_loads.ideal_wavefronts == 32
    sectors = sum(np.unique(row // 8).size for row in rows)
    assert counts.loads["x"].sectors == sectors + 4 * 4 * 8 * 4


def test_wide_shared_accesses_go_by_half_and_quarter_warps() -> None:
    def kernel(x, out):
        tile = cuda.shared.array(64, float64)
        t = cuda.threadIdx.x
        tile[t] = x[t]
        tile[t + 32] = x[t]
        cuda.syncthreads()
        out[t] = tile[2 * t]

    counts = counts_of(kernel, (F8, F8), 1, 32, np.zeros(32), np.zeros(32))
    assert counts.shared_stores.wavefronts == counts.shared_stores.ideal_wavefronts == 4
    assert counts.shared_loads.ideal_wavefronts == 2 and counts.shared_loads.wavefronts == 4


QUARTER_WARPS = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry quarter(.param .u64 out) {
.shared .align 16 .b8 tile[4096];
.reg .b32 %r<5>; .reg .f32 %f<5>; .reg .b64 %q<9>;
mov.u32 %r1, %tid.x;
mul.wide.u32 %q1, %r1, SPREAD;
mov.u64 %q2, tile;
add.u64 %q3, %q2, %q1;
mov.f32 %f1, 0f3F800000;
st.shared.v4.f32 [%q3], {%f1, %f1, %f1, %f1};
ret;
}
"""


@pytest.mark.parametrize(("spread", "passes"), [(16, 4), (32, 8), (128, 32)])
def test_sixteen_byte_shared_accesses(spread: int, passes: int) -> None:
    kernel = Module.parse(QUARTER_WARPS.replace("SPREAD", str(spread))).kernel()
    counts = run(kernel, 1, 32, [Pointer(np.zeros(4, np.float32))]).counts
    assert counts.shared_stores.wavefronts == passes
    assert counts.shared_stores.ideal_wavefronts == 4


def parted(out):
    i = cuda.grid(1)
    value = 0
    for j in range(i % 2 + 1):
        value += out[i] + j
    out[i] = value


def parted_by_warps(out):
    i = cuda.grid(1)
    if (i // 32) % 2 == 0:
        cuda.atomic.add(out, i, 1)
    else:
        cuda.atomic.add(out, i, 2)


def test_branch_divergence() -> None:
    counts = counts_of(parted, (I4,), 2, 64, np.zeros(128, np.int32))
    assert counts.divergent_branches == 4
    counts = counts_of(parted_by_warps, (I4,), 2, 64, np.zeros(128, np.int32))
    assert counts.divergent_branches == 0
    assert counts.branches >= 0 and counts.atomics["out"].threads == 128


KINDS = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry kinds(.param .u64 out) {
.reg .b32 %r<5>; .reg .f32 %f<5>; .reg .f64 %d<5>; .reg .b64 %q<9>; .reg .pred %p<3>;
mov.u32 %r1, %tid.x;
cvt.rn.f32.u32 %f1, %r1;
fma.rn.f32 %f2, %f1, %f1, %f1;
add.f32 %f3, %f1, %f2;
sub.f32 %f3, %f1, %f2;
mul.f32 %f4, %f1, %f2;
cvt.f64.f32 %d1, %f1;
fma.rn.f64 %d2, %d1, %d1, %d1;
ex2.approx.f32 %f4, %f1;
setp.lt.u32 %p1, %r1, 10;
@%p1 add.u32 %r2, %r1, 1;
bar.sync 0;
shfl.sync.idx.b32 %r3|%p2, %r1, 0, 31, -1;
ret;
}
"""


def test_instructions_by_kind() -> None:
    report = run(Module.parse(KINDS).kernel(), 2, 64, [Pointer(np.zeros(4, np.float32))])
    counts = report.counts
    assert counts.by_kind == {
        "fma.f32": 128, "add.f32": 256, "mul.f32": 128, "fma.f64": 128, "special.f32": 128,
        "conversion": 256, "move": 128, "compare": 128, "integer": 20, "barrier": 128,
        "shuffle": 128, "branch": 128,
    }
    assert counts.threads == 128 and counts.thread_instructions == sum(counts.by_kind.values())
    assert counts.warp_instructions == 14 * 4
    assert counts.floating_point_operations("f32") == 128 * 5
    assert counts.per_thread("add.f32") == 2


def test_counting_does_not_depend_on_the_checks() -> None:
    program = compile_kernel(copy_strided, (F4, F4))
    x, out = aligned(2048), aligned(256)
    first = run(program, 4, 64, (x, out))
    second = run(program, 4, 64, (x, out), checks=False)
    assert first.counts == second.counts
