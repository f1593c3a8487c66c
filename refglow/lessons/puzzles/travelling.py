"""A kernel on its way into the process that has the simulator.

It travels by value, with the functions and numbers that it uses from its own module or notebook;
modules (numba.cuda, math) travel by name, so that there `cuda` is the simulator's. The two
functions that move 16 bytes at once are exchanged for those that note what they do.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from importlib import import_module
from types import FunctionType
from typing import Any

_SIMULATED = "refglow.lessons.puzzles.simulated"
_VECTOR_FUNCTIONS = ("load_vector", "store_vector")


def plain(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The Python function of a kernel, whether @cuda.jit decorates it or not."""
    function: Callable[..., Any] = getattr(kernel, "py_func", kernel)
    return function


def pickled(kernel: Callable[..., Any]) -> bytes:
    """A kernel as bytes.

    Raises:
        TypeError, pickle.PicklingError: it uses something that cannot travel, such as an open file.
    """
    from numba import cloudpickle  # Numba's copy, with which it sends functions to processes

    from refglow.kernels.cuda import vector_access

    exchanged = {id(getattr(vector_access, name)): name for name in _VECTOR_FUNCTIONS}

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]  # Numba has no types
        """By value, with some functions exchanged."""

        def reducer_override(self, obj: Any) -> Any:
            """How an object is rebuilt."""
            if id(obj) in exchanged:
                return named, (exchanged[id(obj)],)
            if isinstance(getattr(obj, "py_func", None), FunctionType):
                return itself, (obj.py_func,)  # what @cuda.jit(device=True) decorates
            return super().reducer_override(obj)

    function = plain(kernel)
    module = sys.modules.get(function.__module__)
    by_value = module is not None and function.__module__ != "__main__"
    file = io.BytesIO()
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        Pickler(file).dump(function)
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
    return file.getvalue()


def itself(function: Any) -> Any:
    """What is given."""
    return function


def named(name: str) -> Any:
    """The recording function of that name; called where the kernel arrives."""
    return getattr(import_module(_SIMULATED), name)
