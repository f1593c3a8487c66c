"""Threads that take turns in the simulator: barriers, threads that end early, threads that fail."""

import numpy as np
import pytest
from numba import cuda

from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.stand_ins import SimulatorDevice

pytestmark = pytest.mark.simulator


def reversed_again_and_again(x, rounds):
    """Each thread reads what another wrote before the barrier, of lower and of higher index."""
    shared = cuda.shared.array(64, np.float32)
    i = cuda.threadIdx.x
    for _ in range(rounds):
        shared[i] = x[cuda.blockIdx.x, i]
        cuda.syncthreads()
        x[cuda.blockIdx.x, i] = shared[63 - i] + np.float32(1)
        cuda.syncthreads()


def reversed_without_a_barrier(x, rounds):
    shared = cuda.shared.array(64, np.float32)
    i = cuda.threadIdx.x
    shared[i] = x[cuda.blockIdx.x, i]
    x[cuda.blockIdx.x, i] = shared[63 - i] + np.float32(rounds)


def half_end_early(x, rounds):
    """A barrier is for the threads that still run."""
    i = cuda.threadIdx.x
    if i % 2:
        return
    cuda.syncthreads()
    x[cuda.blockIdx.x, i] += rounds
    cuda.syncthreads()


def fails(x, rounds):
    cuda.syncthreads()
    if cuda.threadIdx.x == 5:
        raise IndexError("beyond the end")
    cuda.syncthreads()
    x[cuda.blockIdx.x, cuda.threadIdx.x] = rounds


def run(kernel, rounds):
    """(what it is given, what it leaves), in two blocks of 64 threads."""
    x = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
    before = x.copy()
    SimulatorDevice().launch(Kernel(kernel), 2, 64, x, rounds)
    return before, x


def check_barriers():
    before, after = run(reversed_again_and_again, 3)
    np.testing.assert_allclose(after, before[:, ::-1] + 3, rtol=1e-6)
    before, after = run(reversed_without_a_barrier, 1)
    assert np.abs(after - before[:, ::-1] - 1).max() > 0.1


def check_threads_that_end_early():
    before, after = run(half_end_early, 2)
    np.testing.assert_array_equal(after[:, 1::2], before[:, 1::2])
    np.testing.assert_allclose(after[:, ::2], before[:, ::2] + 2, rtol=1e-6)


def check_failures():
    with pytest.raises(IndexError, match=r"tid=\[5, 0, 0\] ctaid=\[0, 0, 0\]: beyond the end"):
        run(fails, 1)
    before, after = run(half_end_early, 0)  # and nothing is left of it
    np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("check", [check_barriers, check_threads_that_end_early, check_failures],
                         ids=lambda check: check.__name__)
def test_turns(simulated, check):
    simulated(check)
