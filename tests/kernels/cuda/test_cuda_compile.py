"""Compiling with no driver: the assembler's report as it is read, and planted broken promises."""

import re
import struct

import numpy as np
import pytest
from numba import cuda
from static_promises import broken_promises

from refglow.kernels.cuda import compile as compile_module
from refglow.kernels.cuda.compile import ARCHITECTURES, CompilationError, compile_kernel
from refglow.kernels.cuda.kernel import Kernel, Launch
from refglow.kernels.cuda.signature import signature_of
from refglow.kernels.cuda.vector_access import load_vector, store_vector


def doubled(x, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = x[i] + x[i]


def doubled_in_float64(x, y):
    i = cuda.grid(1)
    if i < x.size:
        y[i] = 0.1 * x[i]


def moved_by_16_bytes(x, y):
    registers = cuda.local.array(4, x.dtype)
    i = 4 * cuda.grid(1)
    if i < x.size:
        load_vector(x, i, registers, 0)
        store_vector(y, i, registers, 0)


def indexed_locally(x, y):
    table = cuda.local.array(32, np.float32)
    i = cuda.grid(1)
    for j in range(32):
        table[j] = x[i + j]
    y[i] = table[int(x[i]) & 31]


def crowded(x, y):
    i = cuda.grid(1)
    a = cuda.local.array(96, np.float32)
    for j in range(96):
        a[j] = x[i * 97 + j]
    cuda.syncthreads()
    for j in range(96):
        y[i * 97 + j] = a[95 - j] * a[j]


def with_shared_memory(x, y):
    fixed = cuda.shared.array((33, 4), np.float32)
    more = cuda.shared.array(0, np.float32)
    i = cuda.threadIdx.x
    fixed[i, 0] = x[i]
    more[i] = x[i]
    cuda.syncthreads()
    y[i] = fixed[31 - i, 0] + more[31 - i]


def compiled(kernel, name, dtype="float32"):
    x = np.zeros(128, dtype)
    return compile_kernel(kernel, signature_of((x, x)), name)


def broken(kernel, name="sm_80", block=(128, 1, 1), dtype="float32", shared_bytes=0):
    launch = Launch(kernel, (1, 1, 1), block, (), shared_bytes)
    return broken_promises(kernel, dtype, launch, compiled(kernel, name, dtype))


def shared_section(cubin):
    """The bytes of shared memory that an ELF file's section .nv.shared.<kernel> asks for."""
    start, = struct.unpack_from("<Q", cubin, 0x28)
    size, count, names = struct.unpack_from("<HHH", cubin, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", cubin, start + i * size) for i in range(count)]
    text = headers[names][4]
    for name, _, _, _, _, length in headers:
        label = cubin[text + name:cubin.index(b"\0", text + name)]
        if label.startswith(b".nv.shared._Z"):
            return length
    return 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_gives_machine_code_and_a_report(name):
    found = compiled(Kernel(doubled), name)
    assert found.cubin.startswith(b"\x7fELF") and f"for '{name}'" in found.report
    assert f".target {name}" in found.ptx
    assert 5 <= found.registers <= 32 and found.shared_bytes == 0
    assert found.local_bytes == found.spill_stores == found.spill_loads == 0
    assert any(name.startswith("ld.global") for name in found.instructions)
    assert not found.float64_instructions
    assert found.vector_loads == found.vector_stores == 0
    assert broken(Kernel(doubled, occupancy=1.0), name) == []


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shared_memory_is_what_the_machine_code_asks_for(name):
    found = compiled(Kernel(with_shared_memory), name)
    assert found.shared_bytes == 33 * 4 * 4
    # From compute capability 9.0 on the section has the system's 1 KiB too.
    reserved = 1024 if name in ("sm_90", "sm_100", "sm_120") else 0
    assert shared_section(found.cubin) == found.shared_bytes + reserved


def numbered(ptx):
    """Names that Numba makes (of flags, and of how much it has compiled) as ordinal numbers."""
    names = {}
    return re.sub(r"_Z[\w$]+?(?=_param_\d+|\b)|_cudapy_smem_\d+",
                  lambda name: f"<{names.setdefault(name[0], len(names))}>", ptx)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize(("function", "dtype"), [
    (doubled_in_float64, "float32"), (with_shared_memory, "float16"),
    (moved_by_16_bytes, "float64")])
def test_the_ptx_is_that_of_a_compilation_for_this_architecture_alone(function, dtype, name):
    x = np.zeros(128, dtype)
    signature = signature_of((x, x))
    alone, _ = cuda.compile(function, signature, device=False, abi="numba", output="ptx",
                            cc=compile_module._compute_capability(name), lineinfo=True)
    assert numbered(compiled(Kernel(function), name, dtype).ptx) == numbered(alone)


def test_float64_in_a_float32_kernel_is_found():
    [complaint] = broken(Kernel(doubled_in_float64))
    assert "float64 instructions" in complaint and "mul.f64" in complaint
    assert broken(Kernel(doubled_in_float64), dtype="float64") == []
    assert broken(Kernel(doubled), dtype="float64") == []


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "v4.f32"), ("float64", "v2.f64")])
def test_16_byte_accesses_are_found_where_they_are(dtype, kind):
    found = compiled(Kernel(moved_by_16_bytes), "sm_90", dtype)
    if dtype == "float32":
        assert (found.vector_loads, found.vector_stores) == (1, 1)
    assert any(name.startswith("ld.global") and name.endswith(kind) for name in found.instructions)
    assert broken(Kernel(moved_by_16_bytes, vectorized=True), dtype=dtype) == []
    [complaint] = broken(Kernel(doubled, vectorized=True), dtype=dtype)
    assert "0 loads and 0 stores" in complaint


def test_local_memory_is_found():
    complaints = broken(Kernel(indexed_locally))
    assert any("128 bytes of local memory" in complaint for complaint in complaints)


def test_spills_are_found():
    complaints = broken(Kernel(crowded, launch_bounds=1024))
    assert any("spills" in complaint for complaint in complaints)
    assert not any("spills" in complaint for complaint in broken(Kernel(crowded)))


def test_an_occupancy_below_the_promise_is_found():
    [complaint] = broken(Kernel(doubled, occupancy=1.0), shared_bytes=40_000)
    assert "promises an occupancy of 1.0" in complaint
    assert broken(Kernel(doubled, occupancy=0.25), shared_bytes=40_000) == []


def test_what_cannot_be_compiled_says_why(monkeypatch):
    with pytest.raises(ValueError, match="'sm_61' is no architecture known here: sm_75, sm_80"):
        compiled(Kernel(doubled), "sm_61")
    nonsense = ".version 9.5\n.target sm_80\nnonsense"
    monkeypatch.setattr(compile_module, "ptx_text", lambda *_: nonsense)
    with pytest.raises(CompilationError, match=r"doubled: the assembler refused.*sm_80"):
        compiled(Kernel(doubled), "sm_80")
