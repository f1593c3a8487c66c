"""What ran: processor, threads, versions, BLAS and the variables that decide how it computes."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numba

from refglow.kernels.bench.machine import last_level_cache_bytes

# Whoever wants to repeat a figure has to know these.
VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS",
             "OPENBLAS_THREAD_TIMEOUT", "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES",
             "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "GOMP_CPU_AFFINITY", "KMP_AFFINITY",
             "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMBA_THREADING_LAYER", "NUMBA_CACHE_DIR",
             "NUMBA_CPU_NAME", "NUMBA_DISABLE_JIT", "MALLOC_ARENA_MAX", "CUDA_VISIBLE_DEVICES")
_PACKAGES = ("refglow", "numpy", "scipy", "numba", "numba-cuda")


def environment(*packages: str) -> dict[str, Any]:
    """The machine and the software, for JSON.

    Args:
      packages: further ones whose versions matter.
    """
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"),
            "processor": processor(), "platform": platform.platform(),
            "cores": os.cpu_count(), "last_level_cache_bytes": last_level_cache_bytes(),
            "python": platform.python_version(),
            "versions": {name: found for name in (*_PACKAGES, *packages)
                         if (found := _version(name)) is not None},
            "numba_threads": numba.get_num_threads(), "blas": blas_libraries(),
            "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ}}


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def blas_libraries() -> list[dict[str, Any]]:
    """The BLAS libraries in this process: name, version, threads, the kernels that were picked.

    Empty if threadpoolctl, which finds them, is not installed.
    """
    try:
        from threadpoolctl import threadpool_info  # type: ignore[import-untyped]
    except ImportError:
        return []
    wanted = ("internal_api", "version", "num_threads", "architecture", "threading_layer")
    return [{name: found.get(name) for name in wanted} for found in threadpool_info()
            if found.get("user_api") == "blas"]


def summary_line(found: dict[str, Any]) -> str:
    """The environment in one line, for people.

    Args:
      found: as `environment` returns it.
    """
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    blas = "; ".join(f"{library['internal_api']} {library['version']} "
                     f"({library['architecture']}, {library['num_threads']} threads)"
                     for library in found["blas"]) or "BLAS not known (threadpoolctl is missing)"
    variables = ", ".join(f"{name}={value}" for name, value in found["variables"].items())
    return (f"{found['processor']}, {found['cores']} cores; Python {found['python']}, {versions}; "
            f"{blas}; {found['numba_threads']} Numba threads; {variables or 'no variables set'}; "
            f"{found['date']}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
