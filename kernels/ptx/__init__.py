"""An interpreter of PTX, written in NumPy: the whole grid at once, one lane per thread.

It executes what a GPU would be given, and reports what no run on a GPU would tell: accesses out
of bounds with block, thread and offset, races, divergent barriers, reads of memory nobody wrote;
and it counts what decides a kernel's speed.

    from refglow.kernels.ptx import compile_kernel, run

    kernel = compile_kernel(function, (float32[::1], float32[::1]))   # Python to PTX by Numba
    report = run(kernel, grid, block, (x, y), uninitialised=("y",))   # y is written in place
    report.counts.loads["x"].sectors_per_request

PTX text from elsewhere: `Module.parse(text).kernel(name)` gives the kernel. `run` raises
`FindingsError` if a check finds anything; `examine` returns the report with its findings instead.

What is exact: integer, float16, bfloat16, float32 and float64 arithmetic, conversions and
comparisons, rounded as PTX's document says. What is not: the .approx functions (within the errors
documented, see approximate.py), the order in which atomics of one launch take effect, and
integer division by zero, where the results are those of NVIDIA's devices.

How it works, in the order of reading: lexer, parser (PTX text to functions), flatten (calls
inlined), control and dataflow (basic blocks, two analyses), decode with integer, floating,
conversions, moves, memory, warp (an instruction to a closure), code (a decoded program), wave,
scheduler (lowest program counter first), memory_system with races, patterns and counts (every
check and count of an access), arguments and launch.

Memory is bounded: blocks run in waves of about 32768 threads, each with fresh registers, shared
and local memory; global memory, its access histories and with them the races between blocks span
the whole launch. Per byte of an array that the kernel may write, histories take 16 bytes divided by
the kernel's smallest access.
"""

from refglow.kernels.ptx.arguments import Pointer
from refglow.kernels.ptx.compile import compile_kernel
from refglow.kernels.ptx.counts import Counts, SharedTraffic, Traffic
from refglow.kernels.ptx.findings import Finding, FindingsError
from refglow.kernels.ptx.flatten import Program
from refglow.kernels.ptx.launch import Report, examine, run
from refglow.kernels.ptx.module import Module
from refglow.kernels.ptx.syntax import PtxError

__all__ = [
    "Counts",
    "Finding",
    "FindingsError",
    "Module",
    "Pointer",
    "Program",
    "PtxError",
    "Report",
    "SharedTraffic",
    "Traffic",
    "compile_kernel",
    "examine",
    "run",
]
