"""GPUs on paper: what a multiprocessor of each architecture holds, and how fast the GPUs are.

Nothing here is measured by refglow, and predictions made from it are called "predicted". The
figures were compared with the sources named beside them, most of which quote NVIDIA's documents and
are not those documents; where nothing could be compared, "from memory, not verified" is said.
"""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024


@dataclass(frozen=True)
class Architecture:
    """The limits of one multiprocessor.

    Attributes:
      name: as the compiler calls it, such as "sm_80".
      warps: most that are resident, of 32 threads.
      blocks: most that are resident.
      registers: of 32 bits.
      shared_bytes: shared memory, with the largest share of the cache given to it.
      shared_bytes_of_a_block: the most that a launch as Numba makes it can ask for.
      reserved_shared_bytes: what every block takes for the system's use.
      shared_unit: bytes that shared memory is handed out by.
    """

    name: str
    warps: int
    blocks: int
    registers: int
    shared_bytes: int
    shared_bytes_of_a_block: int
    reserved_shared_bytes: int
    shared_unit: int


@dataclass(frozen=True)
class Gpu:
    """How fast a GPU is at best.

    Attributes:
      name: for people.
      architecture: of its multiprocessors.
      multiprocessors: how many.
      bandwidth: of its memory, bytes per second.
      float32_rate, float64_rate: operations per second without tensor cores, a multiply-add counted
        as two.
      source: what the figures were compared with.
    """

    name: str
    architecture: str
    multiprocessors: int
    bandwidth: float
    float32_rate: float
    float64_rate: float
    source: str


def _architecture(name: str, warps: int, blocks: int, shared_kib: int) -> Architecture:
    # 65536 registers: the tuning guides of every architecture here. Static shared memory, and
    # dynamic without an attribute that Numba does not set, is limited to 48 KiB everywhere. From
    # compute capability 8.0 on each block takes 1 KiB more (Ampere tuning guide; Blackwell tuning
    # guide). Units: cuda_occupancy.h, CUDA 13.5.
    newer = name != "sm_75"
    return Architecture(name, warps, blocks, 65536, shared_kib * KIB, 48 * KIB,
                        KIB if newer else 0, 128 if newer else 256)


# Blocks: cuda_occupancy.h, CUDA 13.5. (The Blackwell tuning guide says 32 for 12.0; the header,
# which says 24, is what the CUDA runtime computes with.)
# Shared memory: "Shared Memory" in the chapters on compute capabilities 7.x, 8.x and 12.0 of the
# CUDA programming guide 13.1; 9.0 from an H100 data sheet, 10.0 from a B200's own report.
# Warps: 7.5 from memory, not verified; 8.0 likewise; 8.6 from an RTX 3090's own report (1536
# threads), 8.9 from an RTX 4090's, 9.0 from memory, not verified, 10.0 from a B200's (2048 threads)
# and the Blackwell tuning guide, 12.0 from an RTX 5090's and that guide.
_ARCHITECTURES = {architecture.name: architecture for architecture in (
    _architecture("sm_75", warps=32, blocks=16, shared_kib=64),
    _architecture("sm_80", warps=64, blocks=32, shared_kib=164),
    _architecture("sm_86", warps=48, blocks=16, shared_kib=100),
    _architecture("sm_89", warps=48, blocks=24, shared_kib=100),
    _architecture("sm_90", warps=64, blocks=32, shared_kib=228),
    _architecture("sm_100", warps=64, blocks=32, shared_kib=228),
    _architecture("sm_120", warps=48, blocks=24, shared_kib=100),
)}

# The rate of float64 is 1/2 of float32's on sm_80, sm_90 and sm_100, 1/32 on sm_75 and 1/64 on the
# others (2 of 128 results for each clock and multiprocessor; so measured on an RTX 3090 by others).
GPUS = (
    Gpu("T4", "sm_75", 40, 320e9, 8.1e12, 8.1e12 / 32,
        "40 SMs, 320 GB/s, 8.14 and 0.254 TFLOPS: a comparison site's table"),
    Gpu("A100 SXM 80 GB", "sm_80", 108, 2039e9, 19.5e12, 9.7e12,
        "two summaries of NVIDIA's data sheet"),
    Gpu("A10", "sm_86", 72, 600e9, 31.2e12, 31.2e12 / 64,
        "72 SMs, 600 GB/s, 31.24 TFLOPS: a comparison site's table"),
    Gpu("RTX 3090", "sm_86", 82, 936e9, 35.6e12, 35.6e12 / 64,
        "82 SMs, 936.2 GB/s, 35.58 and 0.556 TFLOPS: two comparison sites' tables"),
    Gpu("L4", "sm_89", 58, 300e9, 30.3e12, 30.3e12 / 64,
        "7424 cores (58 SMs of 128; the same page says 60 SMs), 300 GB/s, 30.29 and 0.473 TFLOPS"),
    Gpu("RTX 4090", "sm_89", 128, 1008e9, 82.6e12, 82.6e12 / 64,
        "128 SMs, 1008 GB/s, 82.58 and 1.29 TFLOPS: three tables"),
    Gpu("H100 SXM", "sm_90", 132, 3350e9, 67e12, 34e12,
        "132 SMs, 3350 GB/s, 67 and 34 TFLOPS: a reseller's copy of NVIDIA's data sheet"),
    # 7680 bits at 3996 MHz, twice a clock: 7.67 TB/s, where NVIDIA's announcements say "up to 8".
    Gpu("B200", "sm_100", 148, 7672e9, 75e12, 37e12,
        "148 SMs and the memory clock: a B200's own report; 75 and 37.5 TFLOPS: a comparison site"),
    Gpu("RTX 5090", "sm_120", 170, 1792e9, 104.8e12, 104.8e12 / 64,
        "170 SMs and the memory clock: an RTX 5090's own report; 104.8 TFLOPS: two tables"),
)


def architecture(name: str) -> Architecture:
    """The limits of an architecture.

    Args:
      name: such as "sm_80".

    Raises:
      ValueError: it is not known here.
    """
    if name not in _ARCHITECTURES:
        raise ValueError(f"{name!r} is no architecture known here: {', '.join(_ARCHITECTURES)}")
    return _ARCHITECTURES[name]


def gpus_of(name: str) -> tuple[Gpu, ...]:
    """The GPUs of an architecture, such as "sm_80"."""
    return tuple(gpu for gpu in GPUS if gpu.architecture == architecture(name).name)


def roofline_seconds(gpu: Gpu, bytes_moved: int, operations: int, dtype: str) -> float:
    """max(bytes / bandwidth, operations / rate): no kernel on that GPU can take less.

    Args:
      gpu: where.
      bytes_moved: between the GPU and its memory.
      operations: floating-point ones, a multiply-add counted as two.
      dtype: the number type; all but "float64" compute in float32.
    """
    rate = gpu.float64_rate if dtype == "float64" else gpu.float32_rate
    return max(bytes_moved / gpu.bandwidth, operations / rate)
