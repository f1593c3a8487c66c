"""A Python kernel function, compiled by Numba to PTX and parsed, ready to run here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from refglow.kernels.ptx.flatten import Program
from refglow.kernels.ptx.module import Module


def compile_kernel(
    function: Callable[..., None],
    signature: Sequence[Any],
    compute_capability: tuple[int, int] = (8, 0),
    **options: Any,
) -> Program:
    """Compile a kernel function for a compute capability; no GPU or driver is needed.

    Args:
        function: a plain Python function (not decorated) in Numba's CUDA dialect.
        signature: the Numba types of its arguments, for example (float32[::1], int64).
        compute_capability: of the device to compile for.
        **options: further options of `numba.cuda.compile`, such as fastmath=True.

    Returns:
        The kernel, named like the function, with the arguments' names and array types.
    """
    from numba import types
    from numba.np.numpy_support import as_dtype

    # By name, because Numba's own numba.cuda, which numba-cuda replaces, has other type hints.
    cuda: Any = import_module("numba.cuda")

    options = {"lineinfo": True, "device": False, "abi": "numba"} | options
    text, _ = cuda.compile(
        function, tuple(signature), cc=compute_capability, **options
    )
    dtypes: list[np.dtype[Any] | None] = []
    for argument in signature:
        known = isinstance(argument, types.Array) and isinstance(
            argument.dtype, types.Integer | types.Float | types.Complex | types.Boolean
        )
        dtypes.append(np.dtype(as_dtype(argument.dtype)) if known else None)
    return replace(
        Module.parse(text).kernel(),
        name=function.__name__,
        argument_names=tuple(inspect.signature(function).parameters),
        argument_dtypes=tuple(dtypes),
    )
