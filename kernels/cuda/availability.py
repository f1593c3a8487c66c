"""Whether CUDA kernels can run here, and if not, precisely what is missing and what to do.

    cuda_unavailable_reason()    a sentence, or None if they can run
    require_cuda()               raises CudaUnavailableError with that sentence

Nothing is imported before one of them is called.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Any

from refglow.extras import install_command

INSTALL = install_command("cuda")
LEAST_COMPUTE_CAPABILITY = (7, 5)  # CUDA 13 compiles for nothing older
_DRIVERS = "https://www.nvidia.com/drivers"

# Of cudaError_t, in the CUDA runtime's reference.
_INSUFFICIENT_DRIVER, _NO_DEVICE = 35, 100


class CudaUnavailableError(RuntimeError):
    """CUDA kernels cannot run here; the message says what is missing and what to do."""


def require_cuda(ordinal: int = 0) -> None:
    """Return if CUDA kernels can run on a GPU.

    Args:
      ordinal: which GPU, counted from 0.

    Raises:
      CudaUnavailableError: they cannot, and why.
    """
    reason = cuda_unavailable_reason(ordinal)
    if reason is not None:
        raise CudaUnavailableError(reason)


def cuda_unavailable_reason(ordinal: int = 0) -> str | None:
    """Why CUDA kernels cannot run on a GPU, and what to do about it.

    Args:
      ordinal: which GPU, counted from 0.

    Returns:
      Sentences for people, or None if they can run.
    """
    if importlib.util.find_spec("numba_cuda") is None:
        return (f"CUDA kernels are compiled by numba-cuda, which is not installed: {INSTALL}")
    if importlib.util.find_spec("cupy") is None:
        return f"CUDA kernels work on CuPy arrays, and CuPy is not installed: {INSTALL}"
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return (f"CuPy is installed but cannot be imported ({error}). Reinstall it for this "
                f"system: {INSTALL}")
    return _no_driver(cupy.cuda.runtime) or _no_device(cupy.cuda, ordinal)


def _no_driver(runtime: ModuleType | Any) -> str | None:
    needed, present = runtime.runtimeGetVersion(), runtime.driverGetVersion()
    if present == 0:
        return ("There is no NVIDIA driver: the CUDA driver library (libcuda) was not found. "
                f"CUDA {_version(needed)} needs one; get it from {_DRIVERS}")
    # Within one major version, an older driver runs what a newer toolkit made.
    if present // 1000 < needed // 1000:
        return (f"The NVIDIA driver is too old: it supports CUDA {_version(present)}, and CuPy was "
                f"built for CUDA {_version(needed)}. Update the driver ({_DRIVERS}), or install "
                f"CuPy and numba-cuda for CUDA {present // 1000}.")
    return None


def _no_device(cuda: Any, ordinal: int) -> str | None:
    try:
        count = cuda.runtime.getDeviceCount()
    except cuda.runtime.CUDARuntimeError as error:
        if error.status == _NO_DEVICE:
            count = 0
        elif error.status == _INSUFFICIENT_DRIVER:
            return (f"The NVIDIA driver is too old for CuPy's CUDA ({error}). Update it: "
                    f"{_DRIVERS}")
        else:
            return f"The CUDA driver is there but does not work: {error}"
    if count == 0:
        return ("An NVIDIA driver is installed, but it sees no GPU. If there is one, look at "
                "CUDA_VISIBLE_DEVICES and at what nvidia-smi says.")
    if not 0 <= ordinal < count:
        return (f"There is no GPU number {ordinal}: {count} {'is' if count == 1 else 'are'} "
                "visible, counted from 0.")
    digits = str(cuda.Device(ordinal).compute_capability)
    capability = int(digits[:-1]), int(digits[-1])
    if capability < LEAST_COMPUTE_CAPABILITY:
        return (f"GPU {ordinal} has compute capability {digits[:-1]}.{digits[-1]}; CUDA "
                f"{_version(cuda.runtime.runtimeGetVersion())} needs at least "
                f"{'.'.join(map(str, LEAST_COMPUTE_CAPABILITY))} (a Turing GPU or newer).")
    return None


def _version(number: int) -> str:
    """CUDA's version number, 1000 major + 10 minor, as it is written."""
    return f"{number // 1000}.{number % 1000 // 10}"
