"""Time on a GPU, and the GPU's ceilings; needs CuPy and a GPU.

CUDA events are put into the stream before and after the work, and the GPU notes when it passes
them. If it had to wait for the host to launch the next kernel, that would be timed too. So the
stream is held up first, by matrix products that take longer than the host needs for all launches:
when the GPU passes the first event, everything behind it is in the queue.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import numpy as np

from refglow.kernels.bench.machine import Ceilings, Rate
from refglow.kernels.bench.timing import Rotation, Settings, in_rounds

GEMM_SIDES = (2048, 4096, 8192)
_HELD_SIDE = 4096  # of the product that holds the stream up
_MOST_HELD = 100
_SPARE = 1.5  # how much longer than the launches the stream is held up
_COPIED_OVER_CACHE = 8  # a copy's source is so many times as large as the L2 cache


class CudaClock:
    """Time on the current GPU, by CUDA events on CuPy's current stream."""

    def __init__(self, cupy: ModuleType | Any) -> None:
        """Measure the product that holds the stream up.

        Args:
          cupy: the module.
        """
        self._cupy = cupy
        self._factor = cupy.ones((_HELD_SIDE, _HELD_SIDE), np.float32)
        self._product = cupy.empty_like(self._factor)
        self._hold(2)  # cuBLAS sets itself up with the first
        self._held_seconds = max(self._between_events(lambda: self._hold(1))[0], 1e-6)

    def seconds(self, work: Callable[[], object]) -> float:
        """How long the GPU takes for what `work` puts into the stream."""
        held = 1
        while True:
            self._hold(held)
            found, launching = self._between_events(work)
            needed = math.ceil(_SPARE * launching / self._held_seconds)
            if held >= min(needed, _MOST_HELD):
                return found
            held = min(needed, _MOST_HELD)

    def to_host(self, value: Any) -> Any:
        """A CuPy array as a NumPy array; other values as they are."""
        return self._cupy.asnumpy(value) if isinstance(value, self._cupy.ndarray) else value

    def to_device(self, value: Any) -> Any:
        """A NumPy array as a CuPy array; other values as they are."""
        return self._cupy.asarray(value) if isinstance(value, np.ndarray) else value

    def _hold(self, count: int) -> None:
        for _ in range(count):
            self._cupy.matmul(self._factor, self._factor, out=self._product)

    def _between_events(self, work: Callable[[], object]) -> tuple[float, float]:
        """(seconds on the GPU, seconds the host took to launch)."""
        before, after = (self._cupy.cuda.Event() for _ in range(2))
        before.record()
        started = time.perf_counter()
        work()
        launching = time.perf_counter() - started
        after.record()
        after.synchronize()
        return self._cupy.cuda.get_elapsed_time(before, after) / 1e3, launching


def gpu_ceilings(cupy: ModuleType | Any, clock: CudaClock, dtypes: Iterable[str], repeats: int,
                 copied_bytes: int | None = None, sides: tuple[int, ...] = GEMM_SIDES) -> Ceilings:
    """The GPU's copy bandwidth (read plus written) and its GEMM rate by cuBLAS.

    Args:
      cupy: the module.
      clock: on the same GPU.
      dtypes: the number types of the products. float32 products are true ones, not TF32, unless
        CUPY_TF32 says otherwise.
      repeats: timings of each.
      copied_bytes: size of the copy's source; by default a multiple of the L2 cache.
      sides: of the square matrices.
    """
    settings = Settings(repeats, rotated_bytes=0, timings_of_turn=1, pause_seconds=0.0)
    size = copied_bytes or _COPIED_OVER_CACHE * l2_cache_bytes(cupy)
    source = cupy.ones(size // 4, np.float32)
    target = cupy.empty_like(source)
    copies = {"cupy.copyto": Rotation(lambda a, b: cupy.copyto(b, a), [(source, target)])}
    copied = in_rounds(copies, settings, clock)
    gemm: dict[str, list[Rate]] = {}
    for dtype in dtypes:
        products, amounts = {}, {}
        for side in sides:
            factor = cupy.ones((side, side), dtype)
            name = f"[{side}, {side}] x [{side}, {side}]"
            products[name] = Rotation(cupy.matmul, [(factor, factor)])
            amounts[name] = 2 * side**3
        gemm[dtype] = [Rate(name, amounts[name], summary) for name, (summary, _)
                       in in_rounds(products, settings, clock).items()]
    return Ceilings([Rate(name, 2 * source.nbytes, summary)
                     for name, (summary, _) in copied.items()], gemm)


def l2_cache_bytes(cupy: ModuleType | Any) -> int:
    """The size of the current GPU's L2 cache."""
    return int(cupy.cuda.Device().attributes["L2CacheSize"])


def gpu_environment(cupy: ModuleType | Any) -> dict[str, Any]:
    """The GPU and what drives it, for JSON.

    Args:
      cupy: the module.
    """
    device = cupy.cuda.Device()
    properties = cupy.cuda.runtime.getDeviceProperties(device.id)
    name = properties["name"]
    return {"gpu": name.decode() if isinstance(name, bytes) else str(name),
            "compute_capability": str(device.compute_capability),
            "multiprocessors": int(device.attributes["MultiProcessorCount"]),
            "l2_cache_bytes": l2_cache_bytes(cupy),
            "memory_bytes": int(properties["totalGlobalMem"]),
            "driver": int(cupy.cuda.runtime.driverGetVersion()),
            "runtime": int(cupy.cuda.runtime.runtimeGetVersion()),
            "cupy": str(cupy.__version__),
            "date": datetime.now(UTC).isoformat(timespec="seconds")}
