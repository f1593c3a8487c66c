"""Where kernels run: on a GPU, or on what stands in for one.

Host functions ask `device_of(x)` for the device of their arrays, take array functions from its `xp`
(CuPy or NumPy) and start kernels with its `launch`. CuPy arrays mean the GPU that they are on.
NumPy arrays mean a stand-in for a GPU, which has to be put in force first:

    with stand_in(InterpretedDevice()):     # stand_ins.py has this, the simulator and a recorder
        y = expand_inverse(x)

The choice holds for the `with` block in the current thread or task, and nowhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import ModuleType
from typing import Any, Protocol, TypeVar

import numpy as np

from refglow.kernels.cuda.compile import compile_options
from refglow.kernels.cuda.kernel import Dimensions, Kernel
from refglow.kernels.cuda.launch_limits import checked_launch


class Device(Protocol):
    """What host functions need of a device."""

    @property
    def xp(self) -> ModuleType:
        """The array module: CuPy, or NumPy for a stand-in."""
        ...

    def launch(self, kernel: Kernel, grid: Dimensions, block: Dimensions, *arguments: Any,
               shared_bytes: int = 0) -> None:
        """Run a kernel.

        Args:
          kernel: what to run.
          grid: blocks, as a number or (x, y, z); a grid of no blocks does nothing.
          block: threads of a block, likewise.
          arguments: arrays of `xp` and numbers. A Python int is an int64 to the kernel and a Python
            float a float64.
          shared_bytes: dynamic shared memory of a block, in bytes.

        Raises:
          ValueError: no GPU can make this launch.
        """
        ...


class CudaDevice:
    """A GPU: CuPy arrays, kernels compiled by Numba on first use, CuPy's current stream."""

    def __init__(self, ordinal: int = 0) -> None:
        """Take a GPU.

        Args:
          ordinal: which one, counted from 0.

        Raises:
          CudaUnavailableError: there is none, or something it needs is not installed.
        """
        from refglow.kernels.cuda.availability import require_cuda

        require_cuda(ordinal)
        self.ordinal = ordinal

    @property
    def xp(self) -> ModuleType:
        """CuPy."""
        import cupy

        module: ModuleType = cupy
        return module

    def launch(self, kernel: Kernel, grid: Dimensions, block: Dimensions, *arguments: Any,
               shared_bytes: int = 0) -> None:
        """Start a kernel on CuPy's current stream; see `Device.launch`."""
        import cupy
        from numba import cuda

        launch = checked_launch(kernel, grid, block, arguments, shared_bytes)
        if launch is None:
            return
        # CuPy makes the GPU's primary context current, and Numba works in the current one. Both
        # mean the same stream by 0; as an external stream it would be refused by DLPack, in which
        # no stream has the number 0. By DLPack is how Numba takes CuPy arrays: as a consumer on the
        # stream they are produced on, which has to wait for nothing. (Arrays that have only the
        # CUDA array interface it would wait for on the host, at every launch.)
        with cupy.cuda.Device(self.ordinal):
            pointer = cupy.cuda.get_current_stream().ptr
            stream = cuda.external_stream(pointer) if pointer else 0
            configured = _compiled_for_gpu(kernel)[launch.grid, launch.block, stream, shared_bytes]
            configured(*arguments)


StandIn = TypeVar("StandIn", bound=Device)
_STAND_IN: ContextVar[Device | None] = ContextVar("stand_in", default=None)


@contextmanager
def stand_in(device: StandIn) -> Iterator[StandIn]:
    """While it lasts, NumPy arrays are arrays of `device`, in this thread or task."""
    token = _STAND_IN.set(device)
    try:
        yield device
    finally:
        _STAND_IN.reset(token)


def stand_in_is_active() -> bool:
    """Whether NumPy arrays are arrays of a stand-in now."""
    return _STAND_IN.get() is not None


def device_of(*arrays: Any) -> Device:
    """The device on which all these arrays are.

    Args:
      arrays: CuPy arrays, or NumPy arrays while a stand-in is in force; one at least.

    Raises:
      TypeError: an array is of neither kind, they are of both kinds, or they are NumPy arrays with
        no stand-in in force.
      ValueError: they are on different GPUs.
      CudaUnavailableError: they are CuPy arrays and kernels cannot be compiled for them.
    """
    if not arrays:
        raise TypeError("device_of needs an array to say which device it is on.")
    cupy = sys.modules.get("cupy")
    on_gpu = [array for array in arrays if cupy is not None and isinstance(array, cupy.ndarray)]
    if len(on_gpu) == len(arrays):
        return _gpu_of(on_gpu)
    for array in arrays:
        if not isinstance(array, np.ndarray) and not any(array is other for other in on_gpu):
            raise TypeError(f"A CUDA kernel takes CuPy arrays; got {_kind(array)}. "
                            "Convert it with cupy.asarray(...).")
    if on_gpu:
        kinds = ", ".join(_kind(array) for array in arrays)
        raise TypeError(f"The arrays are not on one device: {kinds}. Convert all of them with "
                        "cupy.asarray(...), or all of them with cupy.asnumpy(...).")
    device = _STAND_IN.get()
    if device is None:
        raise TypeError("A CUDA kernel takes CuPy arrays; got NumPy arrays. Convert them with "
                        "cupy.asarray(...), or put a stand-in for a GPU in force: "
                        "with stand_in(InterpretedDevice()): ...")
    return device


def _kind(array: Any) -> str:
    return f"{type(array).__module__}.{type(array).__qualname__}"


def _gpu_of(arrays: list[Any]) -> CudaDevice:
    ordinals = [int(array.device.id) for array in arrays]
    for position, ordinal in enumerate(ordinals):
        if ordinal != ordinals[0]:
            raise ValueError(
                f"The arrays are on different GPUs: array 0 on device {ordinals[0]}, array "
                f"{position} on device {ordinal}. Bring them to one: "
                f"with cupy.cuda.Device({ordinals[0]}): array = cupy.asarray(array)")
    return _cuda_device(ordinals[0])


@cache
def _cuda_device(ordinal: int) -> CudaDevice:
    return CudaDevice(ordinal)


@cache
def _compiled_for_gpu(kernel: Kernel) -> Any:
    from numba import cuda

    return cuda.jit(kernel.function, **compile_options(kernel))
