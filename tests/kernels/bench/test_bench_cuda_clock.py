"""Time on a GPU, told by a stand-in for CuPy: what is counted, and what is not."""

import numpy as np
import pytest
from fake_cupy import fake_cupy

from refglow.kernels.bench import cuda_clock
from refglow.kernels.bench.cuda_clock import (
    CudaClock,
    gpu_ceilings,
    gpu_environment,
    l2_cache_bytes,
)


@pytest.fixture
def cupy(monkeypatch):
    monkeypatch.setattr(cuda_clock, "_HELD_SIDE", 8)
    return fake_cupy()


def launching(cupy, monkeypatch, launch_seconds, gpu_seconds):
    """Work that the host needs some time to launch and the GPU some to do; counts its calls."""
    host = [0.0]
    calls = []
    monkeypatch.setattr(cuda_clock.time, "perf_counter", lambda: host[0])

    def work():
        calls.append(1)
        host[0] += launch_seconds
        cupy.stream.now += gpu_seconds
    return work, calls


def test_only_what_is_between_the_events_is_counted(cupy, monkeypatch):
    clock = CudaClock(cupy)
    work, calls = launching(cupy, monkeypatch, launch_seconds=0.0001, gpu_seconds=0.5)
    assert clock.seconds(work) == pytest.approx(0.5)
    assert len(calls) == 1


def test_the_stream_is_held_up_until_everything_is_launched(cupy, monkeypatch):
    clock = CudaClock(cupy)
    work, calls = launching(cupy, monkeypatch, launch_seconds=0.010, gpu_seconds=0.5)
    held = cupy.stream.held
    assert clock.seconds(work) == pytest.approx(0.5)
    assert len(calls) == 2  # once too early: 2 ms, held by one product, are less than 10 ms
    assert cupy.stream.held - held == 1 + 8  # 1.5 x 10 ms / 2 ms


def test_a_host_that_is_slow_without_end_does_not_hold_up_for_ever(cupy, monkeypatch):
    clock = CudaClock(cupy)
    work, calls = launching(cupy, monkeypatch, launch_seconds=10.0, gpu_seconds=0.5)
    assert clock.seconds(work) == pytest.approx(0.5)
    assert len(calls) == 2


def test_arrays_go_to_the_device_and_back(cupy):
    clock = CudaClock(cupy)
    x = np.arange(3)
    assert np.array_equal(clock.to_host(clock.to_device(x)), x)
    assert clock.to_device("same") == "same" and clock.to_host(3) == 3


def test_ceilings_and_environment(cupy):
    found = gpu_ceilings(cupy, CudaClock(cupy), ["float32", "float64"], 2, copied_bytes=4096,
                         sides=(4, 8))
    assert [rate.amount for rate in found.copy] == [2 * 4096]
    assert [rate.amount for rate in found.gemm["float64"]] == [2 * 4**3, 2 * 8**3]
    assert l2_cache_bytes(cupy) == 1000
    record = gpu_environment(cupy)
    assert record.pop("date").endswith("+00:00")
    assert record == {
        "gpu": "Fake GPU (1 GiB)", "compute_capability": "90", "multiprocessors": 3,
        "l2_cache_bytes": 1000, "memory_bytes": 2**30, "driver": 13000, "runtime": 13000,
        "cupy": "0.0"}
