"""Which implementation of an operation runs: the one place that chooses.

The specification, plain NumPy functions, defines every operation. Some of them have namesakes in
`refglow.kernels`, with the same parameters and results, for one kind of arrays each:

    "spec"    the specification, for every number type and array library that NumPy understands
    "cpu"     refglow.kernels.cpu: NumPy arrays of float32 or float64
    "cuda"    refglow.kernels.cuda: CuPy arrays of float32 or float64
    "auto"    the kernels that the arrays fit, and for other arrays the specification; the default

    with refglow.use_backend("spec"):
        ...

The choice holds inside the `with`, in this thread (a context variable); it is nothing that one part
of a program could change for another. An operation that has no kernel is computed by its
specification under every backend; but a backend that is asked for by name and cannot compute with
the arrays it is given raises, and says why: nothing falls back silently.

How results differ. "spec" and "cpu" sum in different orders: they agree to rounding. Under both,
the same input gives the same bits in every run, and an image's values and their derivatives do not
depend on the batch it came in: "spec" gives BLAS, which may choose another order of sums for
another number of rows, the rows of one image at a time, and "cpu" sums over no pixels (that costs
it nothing; and it gives the same bits on any number of threads). Dense layers, and 1x1 convolutions
of bare vectors [N, C], are no images' and multiply a batch as one matrix under "spec". Whatever
judges implementations computes with "spec".
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np

from refglow.array_library import is_on_gpu, placed_on, require_one_place

BACKENDS = ("spec", "cpu", "cuda", "auto")

_NUMBER_TYPES = np.dtype(np.float32), np.dtype(np.float64)

_chosen: ContextVar[str] = ContextVar("refglow_backend", default="auto")


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Compute with that backend inside the `with`, in this thread.

        >>> import refglow as rg
        >>> with rg.use_backend("spec"):
        ...     rg.current_backend()
        'spec'

    Args:
      name: "spec", "cpu", "cuda" or "auto"; see the module's text.

    Returns:
      what `with` takes; there is nothing to bind by `as`.

    Raises:
      ValueError: for another name.
      RuntimeError: for "cuda" where no GPU can be used, saying what is missing.
    """
    if name not in BACKENDS:
        raise ValueError(f"use_backend: {name!r} is not a backend; choose one of "
                         f"{', '.join(BACKENDS)}.")
    if name == "cuda":
        from refglow.kernels.cuda.availability import require_cuda
        require_cuda()
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def current_backend() -> str:
    """The backend in force: "spec", "cpu", "cuda" or "auto"."""
    return _chosen.get()


def placed_by_backend(array: Any) -> Any:
    """Numbers made on the host, such as random ones, where the backend in force computes.

    Args:
      array: a NumPy array.

    Returns:
      under "cuda" a copy on CuPy's current GPU, otherwise the array itself.
    """
    if _chosen.get() != "cuda":
        return array
    import cupy
    return placed_on(array, cupy.cuda.Device())


def implementation(specification: Callable[..., Any], *arrays: Any) -> Callable[..., Any]:
    """What computes `specification` for these arrays: its accelerated namesake, or itself.

    Args:
      specification: a function on arrays of this package.
      *arrays: the arrays (of floating numbers) that it is to be applied to.

    Raises:
      TypeError: if a backend asked for by name cannot compute with these arrays.
    """
    return accelerated(specification, *arrays) or specification


def accelerated(specification: Callable[..., Any], *arrays: Any) -> Callable[..., Any] | None:
    """The accelerated namesake that is to compute `specification` for these arrays, or None.

    Args, Raises: as for `implementation`.
    """
    library = _library_for(arrays)
    return None if library is None else _function(library, specification.__name__)


def _library_for(arrays: tuple[Any, ...]) -> str | None:
    """"cpu" or "cuda", the kernels that compute with these arrays now; None: the specification."""
    chosen = _chosen.get()
    if chosen == "spec":
        return None
    fits = _kernels_that_fit(arrays)
    if chosen == "auto" or fits == chosen:
        return fits
    found = ", ".join(sorted({f"{type(a).__module__.partition('.')[0]} {getattr(a, 'dtype', '')}"
                              for a in arrays}))
    wanted = "CuPy" if chosen == "cuda" else "NumPy"
    raise TypeError(f"backend {chosen!r} computes with {wanted} arrays of float32 or float64, all "
                    f"of one type; got {found}. Convert them, or use_backend('spec').")


def _kernels_that_fit(arrays: tuple[Any, ...]) -> str | None:
    dtype = getattr(arrays[0], "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype not in _NUMBER_TYPES:  # (None == dtype('float64'))
        return None
    in_numpy = True
    for array in arrays:
        if getattr(array, "dtype", None) != dtype:
            return None
        in_numpy = in_numpy and isinstance(array, np.ndarray)
    if in_numpy:
        return "cuda" if _stand_in_is_active() else "cpu"
    if not all(map(is_on_gpu, arrays)):
        require_one_place("refglow", **{f"array {i}": array for i, array in enumerate(arrays)})
        return None
    return "cuda"


def _stand_in_is_active() -> bool:
    """Whether NumPy arrays stand for those of a GPU (see refglow.kernels.cuda.device)."""
    device = sys.modules.get("refglow.kernels.cuda.device")
    return device is not None and device.stand_in_is_active()


def _function(library: str, name: str) -> Callable[..., Any] | None:
    """The kernel of that name, or None."""
    module = _module_with(library, name)
    if module is None:
        return None
    function: Callable[..., Any] = getattr(module, name)
    if library == "cuda":
        from refglow.kernels.cuda.memory import saying_when_memory_runs_out
        return saying_when_memory_runs_out(function)
    return function


@functools.cache
def _module_with(library: str, name: str) -> ModuleType | None:
    """The module with that kernel, or None. Numba is imported when the first one is asked for."""
    package = importlib.import_module(f"refglow.kernels.{library}")
    module = package.ACCELERATED.get(name)
    return module and importlib.import_module(f"refglow.kernels.{library}.{module}")
