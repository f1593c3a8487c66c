"""Occupancy, and the figures of GPUs that it and the predictions are made from."""

import numpy as np
import pytest

from refglow.kernels.bench.devices import GPUS, architecture, gpus_of, roofline_seconds
from refglow.kernels.bench.occupancy import occupancy
from refglow.kernels.cuda.compile import ARCHITECTURES


# Worked by hand from the rules: warps of a block, registers in units of 256 for each warp in one of
# four partitions, shared memory in units with the system's 1 KiB.
@pytest.mark.parametrize(("name", "threads", "registers", "shared", "blocks", "share", "limits"), [
    ("sm_80", 256, 32, 0, 8, 1.0, ("warps", "registers")),
    ("sm_80", 256, 33, 0, 6, 0.75, ("registers",)),       # 1280 a warp: 12 in each partition
    ("sm_80", 256, 40, 0, 6, 0.75, ("registers",)),
    ("sm_80", 256, 64, 0, 4, 0.5, ("registers",)),
    ("sm_80", 96, 40, 0, 16, 0.75, ("registers",)),       # 48 warps of 3
    ("sm_80", 32, 16, 0, 32, 0.5, ("blocks",)),
    ("sm_80", 1024, 64, 0, 1, 0.5, ("registers",)),
    ("sm_80", 1024, 65, 0, 0, 0.0, ("registers",)),       # the launch fails
    ("sm_80", 33, 255, 0, 4, 0.125, ("registers",)),      # 8 warps of 8192 registers
    ("sm_80", 256, 32, 20_000, 7, 0.875, ("shared memory",)),   # 21024 to 21120, of 167936
    ("sm_80", 128, 32, 48 * 1024, 3, 0.1875, ("shared memory",)),
    ("sm_80", 128, 32, 48 * 1024 + 1, 0, 0.0, ("shared memory",)),
    ("sm_75", 256, 32, 0, 4, 1.0, ("warps",)),
    ("sm_75", 256, 16, 16_384, 4, 1.0, ("warps", "shared memory")),  # nothing is reserved there
    ("sm_86", 256, 40, 0, 6, 1.0, ("warps", "registers")),
    ("sm_86", 1024, 32, 0, 1, 2 / 3, ("warps",)),
    ("sm_89", 32, 32, 0, 24, 0.5, ("blocks",)),
    ("sm_90", 128, 24, 12 * 1024, 16, 1.0, ("warps",)),   # 17 blocks of 13 KiB in 228
    ("sm_120", 384, 40, 0, 4, 1.0, ("warps", "registers")),
])
def test_occupancy(name, threads, registers, shared, blocks, share, limits):
    found = occupancy(architecture(name), threads, registers, shared)
    assert (found.blocks, found.share, found.limits) == (blocks, share, limits)
    assert found.warps == blocks * -(-threads // 32)


def test_more_of_anything_never_helps():
    rng = np.random.default_rng(0)
    for _ in range(500):
        place = architecture(rng.choice(ARCHITECTURES))
        threads, registers, shared = (int(rng.integers(1, most)) for most in (1025, 200, 40_000))
        fit = occupancy(place, threads, registers, shared).blocks
        assert fit >= occupancy(place, threads, registers + 9, shared).blocks
        assert fit >= occupancy(place, threads, registers, shared + 4096).blocks
        assert fit >= occupancy(place, min(1024, threads + 32), registers, shared).blocks


@pytest.mark.parametrize(("threads", "registers", "shared"), [(0, 1, 0), (1025, 1, 0),
                                                              (32, 256, 0), (32, 8, -1)])
def test_impossible_kernels_are_refused(threads, registers, shared):
    with pytest.raises(ValueError, match="No kernel has"):
        occupancy(architecture("sm_80"), threads, registers, shared)


def test_every_architecture_has_a_gpu_and_plausible_figures():
    for name in ARCHITECTURES:
        place = architecture(name)
        assert place.name == name and place.registers == 65536
        assert place.warps in (32, 48, 64) and place.blocks in (16, 24, 32)
        assert gpus_of(name)
    for gpu in GPUS:
        assert gpu.architecture in ARCHITECTURES and gpu.source
        assert 100e9 < gpu.bandwidth < 10e12
        # 64 or 128 multiply-adds for each clock and multiprocessor, at 1 to 3 GHz.
        cores = 64 if gpu.architecture in ("sm_75", "sm_80") else 128
        assert 1e9 < gpu.float32_rate / (2 * cores * gpu.multiprocessors) < 3e9
        assert gpu.float64_rate <= 0.51 * gpu.float32_rate
    with pytest.raises(ValueError, match="'sm_61' is no architecture known here: sm_75"):
        gpus_of("sm_61")


def test_the_roofline_is_the_slower_of_both():
    [gpu] = gpus_of("sm_80")
    assert roofline_seconds(gpu, 2039_000_000, 0, "float32") == pytest.approx(1e-3)
    assert roofline_seconds(gpu, 8, 19_500_000_000, "float16") == pytest.approx(1e-3)
    assert roofline_seconds(gpu, 8, 19_500_000_000, "float64") == pytest.approx(19.5 / 9.7e3)
