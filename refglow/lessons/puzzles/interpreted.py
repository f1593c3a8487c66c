"""A kernel compiled to PTX and interpreted, where its compiler is installed.

The simulator runs the kernel's Python; this runs what a GPU would be given. It needs NVIDIA's
compiler (`pip install "refglow[cuda]"`) but no GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from refglow.extras import install_command
from refglow.kernels.ptx import Counts, Program, PtxError, compile_kernel, examine

NOT_INSTALLED = ("Not compiled: that needs numba-cuda and NVIDIA's compiler, "
                 f"{install_command('cuda')}.")
DEVICE_FUNCTION = ("Not compiled: without a GPU's driver, Numba compiles a device function only "
                   'where it is @cuda.jit(device=True, inline="always").')
_STEPS = 200_000  # instructions one after the other: a kernel of these sizes needs some hundreds


@dataclass(frozen=True)
class Interpreted:
    """What came of it.

    Attributes:
        ran: whether the compiler is there.
        sentence: for people.
        findings: what is wrong, each in words.
        counts: instructions and traffic; None if it did not run.
    """

    ran: bool
    sentence: str
    findings: tuple[str, ...] = ()
    counts: Counts | None = None


def compiler_is_there() -> bool:
    """Whether kernels can be compiled to PTX in this process."""
    if find_spec("numba_cuda") is None:
        return False
    from numba import config

    # numba-cuda puts itself in the place of Numba's older numba.cuda.
    return not config.ENABLE_CUDASIM and "numba_cuda" in str(import_module("numba.cuda").__file__)


def interpret(kernel: Callable[..., None], grid: tuple[int, int, int], block: tuple[int, int, int],
              arguments: Mapping[str, Any], blank: Collection[str]) -> Interpreted:
    """Compile a kernel for compute capability 8.0 and interpret it.

    Args:
        kernel: a plain function in Numba's CUDA dialect.
        grid, block: blocks, and threads of a block, x first.
        arguments: by name, in the order of its parameters; arrays are written as it writes.
        blank: names of the arrays that hold no numbers yet.
    """
    if not compiler_is_there():
        return Interpreted(False, NOT_INSTALLED)
    try:
        program = _compiled(kernel, arguments)
        if isinstance(program, Interpreted):
            return program
        report = examine(program, grid, block, list(arguments.values()), names=list(arguments),
                         uninitialised=blank, budget=_STEPS)
    except PtxError as error:
        if "vprintf" in str(error):
            return Interpreted(False, "Not interpreted as PTX: it prints.")
        return Interpreted(True, "", (str(error),))
    return Interpreted(True, f"PTX interpreted: {_in_words(report.counts)}.",
                       tuple(map(str, report.findings)), report.counts)


def _compiled(kernel: Callable[..., None], arguments: Mapping[str, Any]) -> Program | Interpreted:
    """The kernel's PTX, or why there is none."""
    from numba import int64, typeof
    from numba.core.errors import NumbaError

    # By name, because Numba's own numba.cuda, which numba-cuda replaces, has other type hints.
    cuda: Any = import_module("numba.cuda")
    not_found = import_module("cuda.pathfinder").DynamicLibNotFoundError
    signature = [typeof(value) if isinstance(value, np.ndarray) else int64
                 for value in arguments.values()]
    try:
        return compile_kernel(kernel, signature)
    except cuda.CudaSupportError:
        return Interpreted(False, DEVICE_FUNCTION)
    except (ImportError, not_found):  # numba-cuda without NVIDIA's libraries
        return Interpreted(False, NOT_INSTALLED)
    except NumbaError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Interpreted(True, "", (f"Numba's compiler refuses it: {lines[-1]}",))


def _in_words(counts: Counts) -> str:
    loads, stores = counts.total(counts.loads), counts.total(counts.stores)
    parts = [f"{traffic.requests} requests {verb} {traffic.sectors_per_request:.1f} sectors each"
             for verb, traffic in (("read", loads), ("write", stores)) if traffic.requests]
    shared = counts.shared_loads, counts.shared_stores
    if any(traffic.requests for traffic in shared):
        parts.append(f"{sum(traffic.conflicts for traffic in shared)} bank conflicts")
    return ", ".join(parts)
