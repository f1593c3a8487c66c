"""How the CPU kernels are compiled: by Numba, on first use, and kept on disk where possible.

Numba keeps compiled code beside the source or, where that cannot be written, in the user's cache
folder (NUMBA_CACHE_DIR names another). Where neither can be written it refuses to cache at all; the
kernels are then compiled in every process anew, which takes some seconds, and work the same.
"""

from __future__ import annotations

import functools
import hashlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.cpu_options import ParallelOptions

from refglow.kernels.cpu.threads import ParallelKernel

Function = TypeVar("Function", bound=Callable[..., Any])

# No "fastmath" of any kind: every operation rounds as it is written, so that the same input gives
# the same bits in every process and on any number of threads. fused.py says what fusing would do.
_OPTIONS = {"nogil": True, "error_model": "numpy"}

# Only `numba.prange` loops run in parallel, each by itself. Numba would also join loops that follow
# one another, where it sees no array written in the one and read in the other; but it does not look
# into the functions they call, and kernels give arrays to these by address.
# The number of a loop's turn is unsigned, but signed while types are inferred; what it is given to
# would be compiled for both. So kernels make it signed first, by np.int64.
# (The options as Numba's own record: it takes the items out of a dict when it compiles for the
# first number type, and none are left for the second.)
_PARALLEL = ParallelOptions(dict.fromkeys(
    ("fusion", "setitem", "numpy", "inplace_binop", "reduction", "comprehension", "stencil"),
    False) | {"prange": True})


def compiled(function: Function) -> Function:
    """`function`, compiled for one thread; it may call other compiled functions."""
    return _jit(function, parallel=False)


def compiled_parallel(function: Callable[..., None]) -> ParallelKernel:
    """`function`, compiled so that its `numba.prange` loops run on all cores; called from Python.

    Where the process cannot use threads (see threads.py), `numba.prange` is `range`.
    """
    return ParallelKernel(_jit(function, parallel=_PARALLEL),
                          lambda: _jit(_renamed(function), parallel=False))


def inlined(function: Function) -> Function:
    """`function` as scalar maths that is copied into whatever calls it, on the CPU or a GPU."""
    decorated: Function = numba.njit(inline="always", error_model="numpy")(function)
    return decorated


def _jit(function: Function, parallel: Any) -> Function:
    if numba.config.DISABLE_JIT:
        raise ImportError("NUMBA_DISABLE_JIT is set, and the CPU kernels cannot run uncompiled. "
                          "Unset it, or compute with refglow.use_backend('spec').")
    try:
        decorated: Any = numba.njit(cache=True, parallel=parallel, **_OPTIONS)(function)
    except RuntimeError:  # no folder for the cache can be written
        uncached: Function = numba.njit(parallel=parallel, **_OPTIONS)(function)
        return uncached
    # Numba takes compiled code for current while the file of the function itself is unchanged. A
    # kernel also holds the code of the functions it calls, so here all files together decide.
    decorated._cache._cache_file._source_stamp = _stamp_of_all_kernels()
    result: Function = decorated
    return result


def _renamed(function: Callable[..., None]) -> Callable[..., None]:
    """The same function under another name: Numba finds compiled code by that, not by options."""
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__)
    copy.__qualname__ = f"{function.__qualname__}_on_one_thread"
    return copy


@functools.cache
def _stamp_of_all_kernels() -> str:
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.py"), folder.parent / "scalar.py"]):
        digest.update(file.read_bytes())
    return digest.hexdigest()
