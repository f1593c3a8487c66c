"""The ceilings: how fast this machine copies memory and multiplies matrices, measured here and now.

Copy bandwidth. A copy of n bytes counts as 2 n: n are read and n written, as for a kernel the bytes
of its arguments and of its results. (A store may also read the line that it writes to, unless it
goes around the cache. That is not counted, neither here nor for kernels: it moves nothing that was
asked for.) Source and target are each larger than the last cache. Three ways are tried, and the
best counts:

    numpy      numpy.copyto, on one thread
    threads    numpy.copyto of one part per core, each on its own thread
    numba      a compiled loop over parts, on all cores

GEMM rate. A product [m, k] x [k, n] counts as 2 m k n operations. Squares and the shapes of Glow's
coupling networks are tried with NumPy's BLAS, and the best counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from refglow.kernels.bench.records import Summary
from refglow.kernels.bench.timing import HostClock, Rotation, Settings, in_rounds
from refglow.kernels.cpu.compiled import compiled_parallel

# [m, k, n]: squares; pixels of a batch times the middle, first and last layer of a network with 400
# hidden channels.
GEMM_SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (2048, 400, 400), (8192, 400, 400),
               (2048, 108, 400), (2048, 400, 432))
_ASSUMED_CACHE = 32 * 2**20  # where the system does not say
_PARTS = 64  # of a parallel copy


@dataclass(frozen=True)
class Rate:
    """How fast one way of doing a thing is.

    Attributes:
      name: of the way.
      amount: bytes or operations of a call.
      summary: the timings of a call.
    """

    name: str
    amount: int
    summary: Summary

    @property
    def per_second(self) -> float:
        """At the median of the timings."""
        return self.amount / self.summary.median

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"name": self.name, "amount": self.amount, "per_second": self.per_second,
                **self.summary.as_dict()}


@dataclass(frozen=True)
class Ceilings:
    """What the machine can do at best.

    Attributes:
      copy: the ways of copying that were tried; amounts in bytes read plus written.
      gemm: by number type, the matrix products that were tried; amounts in operations.
    """

    copy: list[Rate]
    gemm: dict[str, list[Rate]]

    @property
    def bandwidth(self) -> float:
        """Bytes per second of the best copy."""
        return best(self.copy).per_second

    def gemm_rate(self, dtype: str) -> float | None:
        """Operations per second of the best product in this number type; None if none was tried."""
        return best(self.gemm[dtype]).per_second if dtype in self.gemm else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"copy_bytes_per_second": self.bandwidth,
                "gemm_operations_per_second": {name: self.gemm_rate(name) for name in self.gemm},
                "copy": [rate.as_dict() for rate in self.copy],
                "gemm": {name: [rate.as_dict() for rate in rates]
                         for name, rates in self.gemm.items()}}


def best(rates: list[Rate]) -> Rate:
    """The fastest."""
    return max(rates, key=lambda rate: rate.per_second)


def processor_ceilings(dtypes: Iterable[str], repeats: int,
                       copied_bytes: int | None = None,
                       shapes: tuple[tuple[int, int, int], ...] | None = None) -> Ceilings:
    """The ceilings of this processor with all its cores.

    Args:
      dtypes: the number types of the products.
      repeats: timings of each copy and product.
      copied_bytes: size of the copies' source; by default twice the last cache's.
      shapes: [m, k, n] of the products; by default GEMM_SHAPES.
    """
    return Ceilings(copy_rates(repeats, copied_bytes),
                    {dtype: gemm_rates(dtype, repeats, shapes or GEMM_SHAPES) for dtype in dtypes})


def last_level_cache_bytes() -> int:
    """The size of the largest cache of the first core; 32 MiB where the system does not say."""
    sizes = [_bytes(path.read_text(encoding="ascii").strip())
             for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max(sizes, default=_ASSUMED_CACHE)


def _bytes(text: str) -> int:
    unit = {"K": 2**10, "M": 2**20, "G": 2**30}.get(text[-1:], 1)
    return int(text.rstrip("KMG")) * unit


def copy_rates(repeats: int, copied_bytes: int | None = None) -> list[Rate]:
    """The rates of copying memory in each of the ways above; amounts are bytes read plus written.

    Args:
      repeats: timings of each.
      copied_bytes: size of the source; by default twice the last cache's.
    """
    size = copied_bytes or 2 * last_level_cache_bytes()
    source = np.ones(size, np.uint8).view(np.int64)
    target = np.zeros_like(source)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(_cores()))
        ways: dict[str, Callable[..., Any]] = {
            "numpy": lambda a, b: np.copyto(b, a), "numba": _copy_parts,
            "threads": partial(_copy_on_threads, pool)}
        contenders = {name: Rotation(way, [(source, target)]) for name, way in ways.items()}
        found = in_rounds(contenders, _settings(repeats), HostClock())
    return [Rate(name, 2 * source.nbytes, summary) for name, (summary, _) in found.items()]


def gemm_rates(dtype: npt.DTypeLike, repeats: int,
               shapes: tuple[tuple[int, int, int], ...] = GEMM_SHAPES) -> list[Rate]:
    """The rates of NumPy's matrix products; amounts are floating-point operations.

    Args:
      dtype: float32 or float64.
      repeats: timings of each shape.
      shapes: [m, k, n] of the products.
    """
    rng = np.random.default_rng(0)
    contenders, amounts = {}, {}
    for m, k, n in shapes:
        a, b = (rng.standard_normal(shape).astype(dtype) for shape in ((m, k), (k, n)))
        name = f"[{m}, {k}] x [{k}, {n}]"
        contenders[name] = Rotation(np.matmul, [(a, b, np.empty((m, n), dtype))])
        amounts[name] = 2 * m * k * n
    found = in_rounds(contenders, _settings(repeats), HostClock())
    return [Rate(name, amounts[name], summary) for name, (summary, _) in found.items()]


def _settings(repeats: int) -> Settings:
    return Settings(repeats, rotated_bytes=0)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (
        os.cpu_count() or 1)


def _copy_on_threads(pool: ThreadPoolExecutor, source: Any, target: Any) -> None:
    parts = np.linspace(0, len(source), _cores() + 1).astype(int)
    list(pool.map(lambda part: np.copyto(target[part], source[part]),
                  [slice(*ends) for ends in pairwise(parts)]))


@compiled_parallel
def _copy_parts(source: Any, target: Any) -> None:
    length = (len(source) + _PARTS - 1) // _PARTS
    for part in numba.prange(_PARTS):
        end = min((part + 1) * length, len(source))
        for index in range(part * length, end):
            target[index] = source[index]
