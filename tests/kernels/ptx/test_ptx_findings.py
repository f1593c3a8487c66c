"""Planted defects: each is found, named and placed; its repaired twin is clean."""

import numpy as np
import pytest
from finding_helpers import clean, floats, one_finding
from numba import cuda, float32, int32
from vector_intrinsics import load4, store4

from refglow.kernels.ptx import Module, Pointer, compile_kernel, examine

F4, I4 = float32[::1], int32[::1]

# mypy: disable-error-code="no-untyped-def"


def off_by_one(x, out):
    i = cuda.grid(1)
    if i <= out.size:
        out[i] = x[i]


def bounds_right(x, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = x[i]


def before_the_start(x, out):
    i = cuda.grid(1)
    out[i] = x[i - 101]


def test_off_by_one() -> None:
    x, out = floats(101), np.zeros(100, np.float32)
    finding = one_finding(off_by_one, (F4, F4), 2, 64, (x, out))
    assert finding.kind == "out-of-bounds access" and finding.count == 1
    assert finding.array == "out" and finding.offset == 400
    assert finding.block == (1, 0, 0) and finding.thread == (36, 0, 0)
    assert "writes 4 bytes ending 4 bytes past the end of out (400 bytes)" in finding.sentence
    assert finding.instruction == "st.global.f32"
    clean(bounds_right, (F4, F4), 2, 64, (x, out))
    np.testing.assert_array_equal(out, x[:100])


def test_access_before_an_array() -> None:
    # Indices from -101 wrap once, as Python's do; -101 of 100 elements ends up at -1.
    x, out = floats(100), np.zeros(64, np.float32)
    finding = one_finding(before_the_start, (F4, F4), 1, 64, (x, out))
    assert finding.kind == "out-of-bounds access"
    assert "reads 4 bytes 4 bytes before x (400 bytes)" in finding.sentence


def shared_off_by_one(out):
    tile = cuda.shared.array(32, int32)
    other = cuda.shared.array(32, int32)
    t = cuda.threadIdx.x
    other[t] = t
    tile[t + 1] = t
    cuda.syncthreads()
    out[t] = tile[t + 1] + other[t]


def test_overrunning_a_shared_array_into_its_neighbour() -> None:
    program = compile_kernel(shared_off_by_one, (I4,))
    report = examine(program, 1, 32, (np.zeros(32, np.int32),))
    assert {f.kind for f in report.findings} == {"out-of-bounds access"}
    assert report.findings[0].thread == (31, 0, 0)


def scale4(x, out):
    i = 4 * cuda.grid(1)
    if i < x.size:
        a, b, c, d = load4(x, i)
        store4(out, i, (float32(2 * a), float32(2 * b), float32(2 * c), float32(2 * d)))


def test_vector_access_must_be_aligned() -> None:
    x = np.zeros(132, np.float32)
    start = -(x.ctypes.data // 4) % 4
    aligned, shifted = x[start : start + 128], x[start + 1 : start + 129]
    out = np.zeros(128, np.float32)
    aligned[:] = floats(128)
    clean(scale4, (F4, F4), 1, 32, (aligned, out))
    np.testing.assert_array_equal(out, 2 * floats(128))
    finding = one_finding(scale4, (F4, F4), 1, 32, (shifted, out))
    assert finding.kind == "misaligned access" and finding.array == "x"
    assert "not a multiple of 16" in finding.sentence and finding.count == 32


def barrier_in_a_branch(out):
    t = cuda.threadIdx.x
    if t < 48:
        cuda.syncthreads()
        out[t] = 1
    else:
        cuda.syncthreads()
        out[t] = 2


def barrier_after_early_exit(out):
    t = cuda.threadIdx.x
    if t >= 48:
        return
    cuda.syncthreads()
    out[t] = t


def barrier_for_all(out):
    t = cuda.threadIdx.x
    cuda.syncthreads()
    if t < 48:
        out[t] = t


def test_divergent_barriers() -> None:
    out = np.zeros(64, np.int32)
    finding = one_finding(barrier_after_early_exit, (I4,), 1, 64, (out,))
    assert finding.kind == "divergent barrier"
    assert "16 threads" in finding.sentence and finding.count == 48
    report = examine(compile_kernel(barrier_in_a_branch, (I4,), lineinfo=False), 1, 64, (out,))
    if len(report.findings):  # the compiler may merge the two barriers into one
        assert {f.kind for f in report.findings} == {"divergent barrier"}
    clean(barrier_for_all, (I4,), 1, 64, (out,))


TWO_BARRIERS = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry two_barriers() {
.reg .b32 %r<3>; .reg .pred %p<2>;
mov.u32 %r1, %tid.x;
setp.lt.u32 %p1, %r1, 16;
@%p1 bra $L;
bar.sync 0;
bra $E;
$L:
bar.sync @;
$E:
ret;
}
"""


def test_threads_at_different_barriers() -> None:
    same = examine(Module.parse(TWO_BARRIERS.replace("@;", "0;")).kernel(), 2, 64, ())
    assert [f.kind for f in same.findings] == ["divergent barrier"]
    assert "PTX line 10" in same.findings[0].sentence and same.findings[0].line == 13
    other = examine(Module.parse(TWO_BARRIERS.replace("@;", "1;")).kernel(), 2, 64, ())
    assert {f.kind for f in other.findings} == {"deadlock"}


def reads_unwritten_shared(out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    if t != 5:
        tile[t] = t
    cuda.syncthreads()
    out[t] = tile[t]


def reads_before_writing(x, out):
    i = cuda.grid(1)
    out[i] += x[i]


def writes_only(x, out):
    i = cuda.grid(1)
    out[i] = x[i]


def reads_unwritten_local(out):
    kept = cuda.local.array(4, int32)
    i = cuda.grid(1)
    for j in range(out[i] % 3):
        kept[j] = j
    out[i] = kept[out[i] % 4]


def test_reads_of_memory_nobody_wrote() -> None:
    out = np.zeros(64, np.float32)
    finding = one_finding(reads_unwritten_shared, (F4,), 1, 64, (out,))
    assert finding.kind == "read of memory nobody wrote"
    assert finding.thread == (5, 0, 0) and finding.count == 1 and finding.offset == 20
    x = floats(64)
    finding = one_finding(reads_before_writing, (F4, F4), 1, 64, (x, out), uninitialised=["out"])
    assert finding.kind == "read of memory nobody wrote" and finding.array == "out"
    clean(reads_before_writing, (F4, F4), 1, 64, (x, out))
    clean(writes_only, (F4, F4), 1, 64, (x, out), uninitialised=["out"])


def tail_is_cut(x, out):
    i = 4 * cuda.grid(1)
    if i < x.size:
        store4(out, i, load4(x, i))


def test_a_vector_access_that_only_begins_inside() -> None:
    x, out = floats(32)[:30], np.zeros(32, np.float32)
    finding = one_finding(tail_is_cut, (F4, F4), 1, 32, (x, out))
    assert finding.kind == "out-of-bounds access" and finding.count == 1
    assert "reads 16 bytes ending 8 bytes past the end of x (120 bytes)" in finding.sentence


UNWRITTEN_REGISTER = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry unwritten(.param .u64 out) {
.reg .b32 %r<5>; .reg .pred %p<2>; .reg .b64 %rd<2>;
mov.u32 %r1, %tid.x;
setp.lt.u32 %p1, %r1, 7;
@%p1 mov.u32 %r2, 3;
add.u32 %r3, %r2, 1;
ld.param.u64 %rd1, [out];
@%p1 st.global.u32 [%rd1], %r3;
ret;
}
"""


@pytest.mark.parametrize("between", ["", "$L:"], ids=["in one block", "in two blocks"])
def test_registers_read_before_written(between: str) -> None:
    out = np.zeros(1, np.uint32)
    text = UNWRITTEN_REGISTER.replace("mov.u32 %r2, 3;", f"mov.u32 %r2, 3; {between}")
    kernel = Module.parse(text).kernel()
    report = examine(kernel, 1, 32, [Pointer(out)])
    (finding,) = [f for f in report.findings if f.kind == "register read before written"]
    assert finding.line == 10 and finding.count == 25 and finding.thread == (7, 0, 0)
    assert "%r2" in finding.sentence
    assert examine(kernel, 1, 7, [Pointer(out)]).findings[0].kind == "race in global memory"


def endless(out):
    while out[0] == 0:
        pass


def ends(out):
    while out[0] != 0:
        out[0] -= 1


def test_endless_loop_spends_the_budget() -> None:
    out = np.zeros(1, np.int32)
    finding = one_finding(ends, (I4,), 1, 1, (np.full(1, 10**6, np.int32),), budget=10_000)
    assert finding.kind == "instruction budget spent"
    clean(ends, (I4,), 1, 1, (np.full(1, 100, np.int32),), budget=10_000)
    clean(endless, (I4,), 1, 1, (out + 1,))


def writes_input(x):
    x[cuda.grid(1)] = 0


def test_read_only_arrays_may_not_be_written() -> None:
    x = floats(32)
    x.flags.writeable = False
    finding = one_finding(writes_input, (F4,), 1, 32, (x,))
    assert finding.kind == "write to read-only memory" and finding.array == "x"
    np.testing.assert_array_equal(x, floats(32))


def shuffles_from_absent_lane(x):
    t = cuda.threadIdx.x
    if t < 16:
        x[t] = cuda.shfl_xor_sync(0xFFFF, x[t], 16)


def test_shuffle_from_a_lane_that_takes_no_part() -> None:
    finding = one_finding(shuffles_from_absent_lane, (F4,), 1, 32, (floats(32),))
    assert finding.kind == "divergent warp operation" and finding.count == 16


def shuffles_under_a_full_mask(x):
    t = cuda.threadIdx.x
    if t < 16:
        x[t] = cuda.shfl_xor_sync(0xFFFFFFFF, x[t], 1)
    cuda.syncthreads()
    x[t] += 1


def test_shuffle_whose_mask_names_threads_that_wait_elsewhere() -> None:
    finding = one_finding(shuffles_under_a_full_mask, (F4,), 1, 32, (floats(32),))
    assert finding.kind == "divergent warp operation"
    assert "wait elsewhere" in finding.sentence
