"""Kernels in forked processes and in several threads of Python, on each of Numba's layers.

A layer is chosen once in a process and ends it if misused, so each case is a process of its own.
"""

import importlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from cpu_operations import LARGE, OPERATIONS, results_of
from test_cpu_networks import network, normal

from refglow.kernels.cpu import (
    conv2d,
    coupling_network,
    coupling_network_gradient,
    threads,
)

MODEL = """
import multiprocessing, os, sys, threading
import numba, numpy as np, refglow as rg
from refglow import bijectors as tfb, distributions as tfd
from refglow.validation.random_models import randomize_weights
glow = tfb.Glow((16, 16, 3), 2, 1, seed=0)
randomize_weights(glow, np.random.default_rng(1))
px = glow(tfd.Sample(tfd.Normal(0., 1.), glow.inverse_event_shape((16, 16, 3))))
images = np.random.default_rng(2).uniform(size=(12, 16, 16, 3)).astype(np.float32)
rng = np.random.default_rng(3)

def compute(_=None):
    log_p, bars = px.log_prob_and_grad(images)
    return b"".join(np.asarray(a).tobytes() for a in (log_p, *bars.values()))

def in_child(compute):
    child = os.fork()
    if child == 0:
        os._exit(0 if compute() == expected else 1)
    return os.waitpid(child, 0)[1]
"""

AFTER_A_FORK = MODEL + """
expected = compute()
print(numba.threading_layer(), in_child(compute), in_child(lambda: str(in_child(compute))
      .encode() == b"0" and expected), compute() == expected)
"""

AFTER_ONE_FORK = MODEL + """
expected = compute()
print(numba.threading_layer(), in_child(compute))
"""

A_POOL_OF_PROCESSES = MODEL + """
expected = compute()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(numba.threading_layer(), [found == expected for found in pool.map(compute, range(4))])
"""

FORKED_BEFORE_THE_FIRST_KERNEL = MODEL + """
from refglow.kernels.cpu import threads
def alone():
    compute()
    return threads._process.lost_threads
expected = False
print("none", in_child(alone), type(compute()).__name__)
"""

THREADS_AT_ONCE = MODEL + """
expected, found = compute(), []
def loop():
    for _ in range(8):
        found.append(compute() == expected)
several = [threading.Thread(target=loop) for _ in range(4)]
for thread in several: thread.start()
for thread in several: thread.join()
print(numba.threading_layer(), len(found), all(found))
"""

# Kernels only: NumPy's own BLAS (OpenBLAS) can wait forever in such a child.
A_FORK_BESIDE_COMPUTING_THREADS = MODEL + """
from refglow.kernels.cpu.coupling_network import coupling_network
x = rng.normal(size=(8, 16, 16, 4)).astype(np.float32)
weights = [rng.normal(size=shape).astype(np.float32) / 8 for shape in (
    (3, 3, 4, 32), (32,), (1, 1, 32, 32), (32,), (3, 3, 32, 8), (8,))]
def compute():
    return coupling_network(x, *weights).tobytes()
expected, ended, found = compute(), threading.Event(), []
in_child(compute)  # what runs on one thread is compiled before others hold the compiler's lock
def loop():
    while not ended.is_set():
        found.append(compute() == expected)
several = [threading.Thread(target=loop) for _ in range(2)]
for thread in several: thread.start()
status = [in_child(compute) for _ in range(6)]
ended.set()
for thread in several: thread.join()
print(numba.threading_layer(), status, all(found) and bool(found))
"""


def layer_or_skip(layer):
    module = {"omp": "omppool", "workqueue": "workqueue", "tbb": "tbbpool"}[layer]
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError as error:
        pytest.skip(f"Numba's layer {layer!r} cannot be loaded here: {error}")


def run(program, layer):
    layer_or_skip(layer)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          check=False, timeout=300,
                          env={**os.environ, "NUMBA_THREADING_LAYER": layer})


LAYERS = pytest.mark.parametrize("layer", ["omp", "workqueue", "tbb"])


@LAYERS
@pytest.mark.parametrize(("program", "printed"), [
    pytest.param(AFTER_A_FORK, "{} 0 0 True", id="in a child and its child"),
    pytest.param(A_POOL_OF_PROCESSES, "{} [True, True, True, True]", id="in a pool of processes"),
    pytest.param(FORKED_BEFORE_THE_FIRST_KERNEL, "none 0 bytes", id="forked before any kernel"),
    pytest.param(THREADS_AT_ONCE, "{} 32 True", id="in four threads"),
    pytest.param(A_FORK_BESIDE_COMPUTING_THREADS, "{} [0, 0, 0, 0, 0, 0] True",
                 id="forked beside computing threads")])
def test_a_program_that_forks_or_has_threads(program, printed, layer):
    done = run(program, layer)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == printed.format(layer)


UNPROTECTED = """
from refglow.kernels.cpu import threads
threads.ParallelKernel.__call__ = lambda self, *arguments: self._parallel(*arguments)
"""


def test_a_child_without_the_precaution_is_terminated():
    """What the tests above would notice. (A child's child would wait for ever.)"""
    done = run(UNPROTECTED + AFTER_ONE_FORK, "omp")
    assert done.returncode == 0, done.stderr
    if done.stdout.strip() == "omp 0":
        pytest.skip("This OpenMP is not GNU's: it works in a forked child.")
    assert done.stdout.strip() == f"omp {signal.SIGTERM.value}"
    assert "fork() called from a process already using GNU OpenMP" in done.stderr


def test_threads_without_the_precaution_end_the_process():
    done = run(UNPROTECTED + THREADS_AT_ONCE, "workqueue")
    assert done.returncode == -signal.SIGABRT
    assert "Concurrent access has been detected" in done.stderr


@pytest.fixture
def on_one_thread(monkeypatch):
    """Compute the same again as a forked child does; returns how many kernels did."""
    def again(compute):
        calls = []
        kernel = threads.ParallelKernel.__call__

        def counted(self, *arguments):
            calls.append(self)
            kernel(self, *arguments)
        with monkeypatch.context() as patch:
            patch.setattr(threads.ParallelKernel, "__call__", counted)
            patch.setattr(threads._process, "lost_threads", True)
            return compute(), len(calls)
    return again


def assert_same_bits(one, other):
    for a, b in zip(one, other, strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_on_one_thread_gives_the_same_bits(name, dtype, on_one_thread):
    operation = OPERATIONS[name]
    arguments = operation.arguments(dtype, operation.sizes[LARGE])
    expected = results_of(operation.kernel, arguments)
    found, kernels = on_one_thread(lambda: results_of(operation.kernel, arguments))
    assert kernels > 0
    assert_same_bits(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks_on_one_thread_give_the_same_bits(dtype, on_one_thread):
    x, weights, output_bar = network(((5,), 13, 7, 6, 40, 12, 3), dtype)
    rng = np.random.default_rng(3)
    wide, narrow = (normal(rng, dtype, 3, 3, *io) for io in ((6, 9), (6, 2)))

    def compute():
        output, h1, h2 = coupling_network.coupling_network_activations(x, *weights)
        bars = coupling_network_gradient.coupling_network_vjp(x, h1, h2, *weights[::2], output_bar)
        convolved = [conv2d.conv2d(x, k, np.zeros(k.shape[3], dtype), "same")
                     for k in (wide, narrow)]
        return [output, h1, h2, *bars, *convolved,
                *(a for k, y in zip((wide, narrow), convolved, strict=True)
                  for a in conv2d.conv2d_vjp(x, k, y, "same"))]
    expected = compute()
    found, kernels = on_one_thread(compute)
    assert kernels >= 6
    assert_same_bits(found, expected)
