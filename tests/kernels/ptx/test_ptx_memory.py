"""Loads, stores and atomics in every space and size, and arrays that share memory."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numba import cuda, float32, int32, uint8
from numba.cuda.types import bfloat16
from vector_intrinsics import load4, store4

from refglow.kernels.ptx import Module, Pointer, PtxError, compile_kernel, examine, run

# mypy: disable-error-code="no-untyped-def"

F4 = float32[::1]


def entry(body: str, parameters: int = 1) -> Any:
    names = ", ".join(f".param .u64 p{i}" for i in range(parameters))
    loads = " ".join(f"ld.param.u64 %p{i}, [p{i}];" for i in range(parameters))
    text = f""".version 8.0
    .target sm_80
    .address_size 64
    .visible .entry k({names}) {{
    .reg .b16 %h<9>; .reg .b32 %r<9>; .reg .b64 %q<9>; .reg .b64 %p<9>; .reg .pred %c<3>;
    .reg .f32 %f<9>;
    {loads} mov.u32 %r0, %tid.x; cvt.u64.u32 %q0, %r0;
    {body}
    ret; }}"""
    return Module.parse(text).kernel()


def copy4(x, out):
    i = 4 * cuda.grid(1)
    if i + 4 <= x.size:
        store4(out, i, load4(x, i))


def test_numba_emits_sixteen_byte_accesses() -> None:
    program = compile_kernel(copy4, (F4, F4))
    names = [i.name for i in program.instructions]
    assert "ld.global.v4.f32" in names and "st.global.v4.f32" in names
    x, out = np.random.default_rng(0).normal(size=(2, 512)).astype(np.float32)
    run(program, 2, 64, (x, out), uninitialised=["out"])
    np.testing.assert_array_equal(out, x)


def test_narrow_loads_extend_and_narrow_stores_truncate() -> None:
    source = np.array([0x80, 0xFF, 0x7F, 0x01, 0x34, 0x92, 0, 0], np.uint8)
    out = np.zeros(6, np.uint32)
    run(entry("""ld.global.u8 %r1, [%p0]; ld.global.s8 %r2, [%p0]; ld.global.s8 %h3, [%p0+1];
        ld.global.s16 %r4, [%p0+4]; ld.global.u16 %r5, [%p0+4]; cvt.u32.u16 %r3, %h3;
        st.global.v2.u32 [%p1], {%r1, %r2}; st.global.u32 [%p1+8], %r3;
        st.global.u32 [%p1+12], %r4; st.global.u32 [%p1+16], %r5;
        st.global.u8 [%p1+20], %r2; st.global.u16 [%p1+22], %r4;""", 2),
        1, 1, [Pointer(source), Pointer(out)])
    assert out.tolist() == [0x80, 0xFFFFFF80, 0xFFFF, 0xFFFF9234, 0x9234, 0x92340080]


def test_generic_addresses_reach_every_space() -> None:
    out = np.zeros(64, np.uint32)
    kernel = entry(""".shared .align 4 .b8 tile[256]; .local .align 4 .b8 own[8];
        mov.u64 %q1, tile; cvta.shared.u64 %q1, %q1; shl.b64 %q2, %q0, 2; add.u64 %q3, %q1, %q2;
        mov.u64 %q4, own; cvta.local.u64 %q4, %q4;
        setp.lt.u32 %c1, %r0, 32; selp.b64 %q5, %q3, %q4, %c1;
        add.u32 %r1, %r0, 100; st.u32 [%q5], %r1; ld.u32 %r2, [%q5];
        add.u64 %q6, %p0, %q2; st.u32 [%q6], %r2;
        cvta.to.shared.u64 %q7, %q1; @%c1 ld.shared.u32 %r3, [tile+4];""")
    report = examine(kernel, 1, 64, [Pointer(out)])
    assert out.tolist() == list(range(100, 164))
    assert {f.kind for f in report.findings} == {"race in shared memory"}  # the last load
    assert report.counts.local_accesses == 64


@pytest.mark.parametrize(
    "cache", ["", ".ca", ".cg", ".cs", ".L1::no_allocate", ".nc", ".relaxed.gpu"]
)
def test_cache_modifiers_do_not_change_values(cache: str) -> None:
    x, out = np.arange(32, dtype=np.uint32), np.zeros(32, np.uint32)
    name = f"ld{cache}.global" if "relaxed" in cache else f"ld.global{cache}"
    run(entry(f"""shl.b64 %q1, %q0, 2; add.u64 %q2, %p0, %q1; add.u64 %q3, %p1, %q1;
        {name}.u32 %r1, [%q2]; st.global.cs.u32 [%q3], %r1;""", 2),
        1, 32, [Pointer(x), Pointer(out)])
    np.testing.assert_array_equal(out, x)


def add_in_place(x, y):
    i = cuda.grid(1)
    y[i] = x[i] + 1


def test_one_array_passed_twice_is_one_memory() -> None:
    x = np.arange(64, dtype=np.float32)
    report = run(compile_kernel(add_in_place, (F4, F4)), 1, 64, (x, x))
    np.testing.assert_array_equal(x, np.arange(64) + 1)
    assert set(report.counts.loads) == {"x/y"}


def shift_by_one(x, y):
    i = cuda.grid(1)
    y[i] = x[i]


def test_overlapping_views_race() -> None:
    x = np.arange(65, dtype=np.float32)
    report = examine(compile_kernel(shift_by_one, (F4, F4)), 1, 64, (x[:-1], x[1:]))
    assert {f.kind for f in report.findings} == {"race in global memory"}


def test_memory_around_a_strided_view_is_left_alone() -> None:
    whole = np.arange(60, dtype=np.float32).reshape(6, 10)
    original = whole.copy()

    def clear(x):
        i, j = cuda.grid(2)
        if i < x.shape[0] and j < x.shape[1]:
            x[i, j] = -1

    run(compile_kernel(clear, (float32[:, :],)), 1, (8, 8), (whole[1:5:2, 2:8:3],))
    original[1:5:2, 2:8:3] = -1
    np.testing.assert_array_equal(whole, original)


def copy(x, out):
    i = cuda.grid(1)
    out[i] = x[i]


@pytest.mark.parametrize("dtype", [np.uint16, ml_dtypes.bfloat16])
def test_bfloat16_arrays_are_two_bytes_whatever_numpy_calls_them(dtype: Any) -> None:
    x = np.arange(64).astype(dtype)
    out = np.zeros_like(x)
    run(compile_kernel(copy, (bfloat16[::1],) * 2), 1, 64, (x, out), uninitialised=["out"])
    np.testing.assert_array_equal(out.view(np.uint16), x.view(np.uint16))


def test_empty_arrays_and_bytes() -> None:
    def write(x, flags):
        i = cuda.grid(1)
        if i < x.size:
            x[i] = 1
        if i < flags.size:
            flags[i] = uint8(i)

    flags = np.zeros(37, np.uint8)
    run(compile_kernel(write, (F4, uint8[::1])), 1, 64, (np.zeros(0, np.float32), flags))
    assert flags.tolist() == list(range(37))


def atomic(operation: str, kind: str, memory: np.ndarray, values: np.ndarray,
           space: str = "global") -> np.ndarray:
    """All threads apply the operation to memory[0]; the old values they got."""
    old = np.zeros_like(values)
    width = memory.itemsize * 8
    register = {16: "h", 32: "r", 64: "q"}[width]
    compare = f"%{register}6, " if operation == "cas" else ""
    home = "%p0"
    prefix = suffix = ""
    if space == "shared":
        home = "cell"
        prefix = f""".shared .align 8 .b8 cell[8]; setp.eq.u32 %c1, %r0, 0;
            ld.global.b{width} %{register}7, [%p0]; @%c1 st.shared.b{width} [cell], %{register}7;
            bar.sync 0;"""
        suffix = f"""bar.sync 0; ld.shared.b{width} %{register}7, [cell];
            @%c1 st.global.b{width} [%p0], %{register}7;"""
    kernel = entry(f"""{prefix} mul.lo.u64 %q1, %q0, {memory.itemsize};
        add.u64 %q2, %p1, %q1; add.u64 %q3, %p2, %q1; ld.global.b{width} %{register}5, [%q2];
        mov.b{width} %{register}6, 0;
        atom.{space}.{operation}.{kind} %{register}4, [{home}], {compare}%{register}5;
        st.global.b{width} [%q3], %{register}4; {suffix}""", 3)
    arguments = [Pointer(memory), Pointer(values), Pointer(old)]
    report = examine(kernel, 1, values.size, arguments, names=["memory", "values", "old"])
    assert space == "shared" or not report.findings
    return old


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
@pytest.mark.parametrize("operation", ["add", "min", "max"])
def test_integer_atomics_return_running_values(operation: str, kind: str) -> None:
    dtype = np.dtype(kind.replace("s", "i")[0] + str(int(kind[1:]) // 8))
    values = np.random.default_rng(1).integers(0, 2**31, 50).astype(dtype)
    if dtype.kind == "i":
        values[::2] *= -1
    memory = np.array([5], dtype)
    ufunc = {"add": np.add, "min": np.minimum, "max": np.maximum}[operation]
    running = ufunc.accumulate(np.concatenate([memory, values]), dtype=dtype)
    old = atomic(operation, kind, memory, values)
    np.testing.assert_array_equal(old, running[:-1])
    assert memory[0] == running[-1]


@pytest.mark.parametrize("operation", ["exch", "cas", "inc", "dec", "xor"])
def test_other_atomics(operation: str) -> None:
    values = np.arange(1, 41, dtype=np.uint32) * 7 % 23
    memory = np.zeros(1, np.uint32)
    kind = "u32" if operation in ("inc", "dec") else "b32"
    update = {
        "exch": lambda o, v: v, "cas": lambda o, v: v if o == 0 else o,
        "inc": lambda o, v: 0 if o >= v else o + 1,
        "dec": lambda o, v: v if o == 0 or o > v else o - 1, "xor": lambda o, v: o ^ v,
    }[operation]
    current, expected = 0, []
    for value in values.tolist():
        expected.append(current)
        current = update(current, value)
    assert atomic(operation, kind, memory, values).tolist() == expected
    assert memory[0] == current


def test_float_atomics_flush_in_global_memory_only() -> None:
    values = np.array([1e-40, 2e-40, 1e-38], np.float32)
    memory = np.zeros(1, np.float32)
    atomic("add", "f32", memory, values.copy())
    assert memory[0] == 0
    memory = np.zeros(1, np.float32)
    atomic("add", "f32", memory, values.copy(), "shared")
    assert memory[0] == np.add.accumulate(values)[-1]


def test_half_atomics() -> None:
    values = np.random.default_rng(0).normal(size=20).astype(np.float16)
    memory = np.zeros(1, np.float16)
    old = atomic("add.noftz", "f16", memory, values)
    total = np.float16(0)
    for value, before in zip(values, old, strict=True):
        assert before == total
        total = np.float16(total + value)
    assert memory[0] == total


def test_reductions_without_results() -> None:
    memory = np.array([0, 0], np.int32)
    run(entry("red.global.add.s32 [%p0], %r0; red.relaxed.gpu.global.max.s32 [%p0+4], %r0;"),
        3, 40, [Pointer(memory)])
    assert memory.tolist() == [3 * 780, 39]


def last_block_adds_up(x, partial, counter, out):
    tile = cuda.shared.array(1, int32)
    t = cuda.threadIdx.x
    cuda.atomic.add(partial, cuda.blockIdx.x, x[cuda.grid(1)])
    cuda.threadfence()
    cuda.syncthreads()
    if t == 0:
        tile[0] = cuda.atomic.add(counter, 0, 1)
    cuda.syncthreads()
    if tile[0] == cuda.gridDim.x - 1 and t == 0:
        total = 0
        for i in range(partial.size):
            total += cuda.atomic.add(partial, i, 0)
        out[0] = total


@pytest.mark.parametrize("lanes", [1, 200, 1 << 15])
def test_global_atomics_carry_over_waves(lanes: int) -> None:
    types = (int32[::1],) * 4
    x = np.arange(512, dtype=np.int32)
    out = np.zeros(1, np.int32)
    arguments = (x, np.zeros(8, np.int32), np.zeros(1, np.int32), out)
    run(compile_kernel(last_block_adds_up, types), 8, 64, arguments, lanes_per_wave=lanes)
    assert out[0] == x.sum()


def test_dynamic_shared_memory_must_be_asked_for() -> None:
    def kernel(out):
        tile = cuda.shared.array(0, float32)
        tile[cuda.threadIdx.x] = 1
        cuda.syncthreads()
        out[cuda.threadIdx.x] = tile[31 - cuda.threadIdx.x]

    program = compile_kernel(kernel, (F4,))
    out = np.zeros(32, np.float32)
    run(program, 1, 32, (out,), shared_bytes=128)
    report = examine(program, 1, 32, (out,), shared_bytes=64)
    assert {f.kind for f in report.findings} == {"out-of-bounds access"}
    assert report.findings[0].array == "dynamic shared memory"


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(PtxError, match="no parameter"):
        run(entry("ld.param.u64 %q1, [p7];"), 1, 1, [Pointer(np.zeros(1))])
