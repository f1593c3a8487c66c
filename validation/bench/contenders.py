"""Who is measured at what: for each task and contender, a job that a process of its own does.

Tasks: "log_prob" and "sample" of a batch, a training "step" (the loss, its gradient with respect to
all parameters, an update by Adam), and two yardsticks that are timed in the same rounds: PyTorch
evaluating only the coupling "networks", and the machine's matrix product, "gemm".

Every job says how far its results are from refglow's specification, computed in the same process
from the same weights and images. normflows' Glow is another function of equal size; what can be
compared of it are its coupling networks, one by one, on its own weights, and that is nearly all of
the work.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.dtypes import Array
from refglow.kernels.bench.machine import GEMM_SHAPES, best, gemm_rates
from refglow.networks.coupling_network import coupling_network
from refglow.training.optimizer import Adam
from refglow.validation import tolerances
from refglow.validation.bench.configuration import Configuration
from refglow.validation.bench.operations import operations_of
from refglow.validation.compare import difference
from refglow.validation.peers import NormflowsTraining, TfpTraining, TorchNetworks, TorchTraining
from refglow.validation.peers.torch_networks import LAYOUTS
from refglow.validation.tfp.framework import (
    tensorflow,
    tfp_bijectors,
    tfp_distributions,
    tfp_keras,
)

LEARNING_RATE = 1e-5  # small: random images teach nothing, and many steps must stay finite
MEMORY_MODES = ("store", "checkpoint", "reversible")
_GEMM_OPERATIONS = 20e9  # of one timing: a tenth of a second or more
_GEMM_REPEATS = 5


@dataclass(frozen=True)
class Job:
    """What one process does again and again.

    Attributes:
      run: what is timed; for a step it returns the loss.
      error: () -> the largest relative error of its results against the specification; called
        after the first runs.
      operations: that a run does, where they are counted; else 0.
    """

    run: Callable[[], Any]
    error: Callable[[], float]
    operations: int = 0


@dataclass(frozen=True)
class Contender:
    """One implementation.

    Attributes:
      label: its name in a table.
      load: imports what it needs.
      jobs: by task, (configuration) -> the job.
    """

    label: str
    load: Callable[[], object]
    jobs: dict[str, Callable[[Configuration], Job]]


def tolerance(configuration: Configuration) -> tolerances.Tolerance:
    """How far apart two float32 Glows may be, with the benchmark's mildly conditioned weights."""
    return tolerances.agreement("float32", tolerances.rounding_layers(configuration.glow()), 1.0)


# ---- refglow ------------------------------------------------------------------------------------

def _refglow_log_prob(configuration: Configuration) -> Job:
    px, images = configuration.distribution(), configuration.images()

    def error() -> float:
        return _apart(px.log_prob(images), _true_log_prob(configuration))
    return Job(lambda: px.log_prob(images), error, _operations(configuration))


def _refglow_sample(configuration: Configuration) -> Job:
    px, glow = configuration.distribution(), configuration.glow()

    def error() -> float:
        return _apart(glow.forward(configuration.latents()), _true_images(configuration))
    return Job(lambda: px.sample(configuration.batch), error, _operations(configuration))


def _refglow_step(memory: str, configuration: Configuration) -> Job:
    px, images = configuration.distribution(), configuration.images()
    adam = Adam(learning_rate=LEARNING_RATE)

    def step() -> float:
        log_prob, pullback = px.log_prob_vjp(images, memory)
        _, gradients = pullback(np.full_like(log_prob, -1 / len(log_prob)))  # of the loss
        del pullback  # and with it the activations
        adam.step(px.trainable_variables, gradients)
        return -float(np.mean(log_prob))
    return _step_job(step, configuration)


# ---- peers with the same weights ----------------------------------------------------------------

def _tfp_log_prob(configuration: Configuration) -> Job:
    peer, images = TfpTraining(configuration.glow()), configuration.images()

    def error() -> float:
        return _apart(peer.log_prob(images), _true_log_prob(configuration))
    return Job(lambda: peer.log_prob(images), error, _operations(configuration))


def _tfp_sample(configuration: Configuration) -> Job:
    peer = TfpTraining(configuration.glow())

    def error() -> float:
        return _apart(peer.forward(configuration.latents()), _true_images(configuration))
    return Job(lambda: peer.sample(configuration.batch), error, _operations(configuration))


def _twin_step(training: type[TfpTraining] | type[TorchTraining],
               configuration: Configuration) -> Job:
    peer, images = training(configuration.glow(), LEARNING_RATE), configuration.images()
    return _step_job(lambda: peer.step(images), configuration)


def _step_job(step: Callable[[], float], configuration: Configuration) -> Job:
    losses: list[float] = []

    def counted() -> float:
        losses.append(step())
        return losses[-1]

    def error() -> float:
        return _apart(losses[0], -_true_log_prob(configuration).mean())
    return Job(counted, error)


def _true_log_prob(configuration: Configuration) -> Array:
    with use_backend("spec"):
        return np.asarray(configuration.distribution().log_prob(configuration.images()))


def _true_images(configuration: Configuration) -> Array:
    with use_backend("spec"):
        return np.asarray(configuration.glow().forward(configuration.latents()))


def _apart(found: Any, expected: Any) -> float:
    return difference(np.asarray(found), np.asarray(expected)).relative


def _operations(configuration: Configuration) -> int:
    return operations_of(configuration.glow()).total * configuration.batch


# ---- networks alone, and a Glow of equal size ---------------------------------------------------

def _torch_networks(layout: str, configuration: Configuration) -> Job:
    glow = configuration.glow()
    networks = TorchNetworks(glow, configuration.batch, layout)

    def error() -> float:
        return max(_apart(found, coupling_network(x, *weights)) for found, x, weights
                   in zip(networks.evaluate(), networks.inputs, networks.weights, strict=True))
    return Job(networks.evaluate, error, operations_of(glow).couplings * configuration.batch)


def _normflows(configuration: Configuration) -> NormflowsTraining:
    return NormflowsTraining(configuration.images(), configuration.num_glow_blocks,
                             configuration.num_steps_per_block, configuration.num_hidden,
                             LEARNING_RATE)


def _normflows_log_prob(configuration: Configuration) -> Job:
    peer, images = _normflows(configuration), configuration.images()
    return Job(lambda: peer.log_prob(images), lambda: _networks_error(peer))


def _normflows_sample(configuration: Configuration) -> Job:
    peer = _normflows(configuration)
    return Job(lambda: peer.sample(configuration.batch), lambda: _networks_error(peer))


def _normflows_step(configuration: Configuration) -> Job:
    peer, images = _normflows(configuration), configuration.images()
    return Job(lambda: peer.step(images), lambda: _networks_error(peer))


def _networks_error(peer: NormflowsTraining) -> float:
    """Of its coupling networks, each on a small random image."""
    rng = np.random.default_rng(4)
    errors = []
    for weights, evaluated in peer.networks():
        x = rng.standard_normal((2, 4, 6, weights[0].shape[2])).astype(np.float32)
        errors.append(_apart(evaluated(x), coupling_network(x, *weights)))
    return max(errors)


# ---- the machine --------------------------------------------------------------------------------

def _gemm(configuration: Configuration) -> Job:
    """The fastest of the shapes tried, often enough to last."""
    rates = gemm_rates("float32", _GEMM_REPEATS)
    fastest = best(rates)
    m, k, n = GEMM_SHAPES[rates.index(fastest)]
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, k), (k, n)))
    out, count = np.empty((m, n), np.float32), max(1, round(_GEMM_OPERATIONS / fastest.amount))

    def run() -> None:
        for _ in range(count):
            np.matmul(a, b, out=out)
    return Job(run, lambda: _apart(out, a.astype(np.float64) @ b), count * fastest.amount)


# ---- all of them --------------------------------------------------------------------------------

def _load(*modules: str) -> Callable[[], object]:
    return lambda: [importlib.import_module(module) for module in modules]


def _load_tfp() -> None:
    for load in (tensorflow, tfp_bijectors, tfp_distributions, tfp_keras):
        load()


CONTENDERS = {
    "refglow": Contender("refglow", _load("refglow"),
                         {"log_prob": _refglow_log_prob, "sample": _refglow_sample}),
    **{mode: Contender(f"refglow, {mode}", _load("refglow"),
                       {"step": functools.partial(_refglow_step, mode)}) for mode in MEMORY_MODES},
    "tfp": Contender("TFP, tf.function", _load_tfp, {
        "log_prob": _tfp_log_prob, "sample": _tfp_sample,
        "step": functools.partial(_twin_step, TfpTraining)}),
    "normflows": Contender("normflows, of equal size", _load("torch", "normflows"), {
        "log_prob": _normflows_log_prob, "sample": _normflows_sample, "step": _normflows_step}),
    "torch": Contender("PyTorch, the same Glow", _load("torch"), {
        "step": functools.partial(_twin_step, TorchTraining)}),
    **{f"networks_{layout}": Contender(f"PyTorch, coupling networks alone, {layout}",
                                       _load("torch"),
                                       {"log_prob": functools.partial(_torch_networks, layout)})
       for layout in LAYOUTS},
    "gemm": Contender("NumPy, matrix product alone", _load("numpy"), {"log_prob": _gemm}),
}
