"""The three ways of keeping what a pullback needs: they agree, and cost what they promise."""

import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.backend import use_backend
from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.bijectors.derivatives import drift_limit
from refglow.structure import iterate, map_structure
from refglow.validation import checks
from refglow.validation.cases import (
    CASES,
    dense_coupling,
    positive,
    random_lu,
    randomized,
    small_network,
    variable,
)
from refglow.validation.random_models import randomize_weights
from refglow.validation.tolerances import REBUILT_AGAINST_STORED

MODES = ("store", "checkpoint", "reversible")
DIRECTION = pytest.mark.parametrize("forward", [True, False], ids=["forward", "inverse"])
EPS = float(np.finfo(np.float64).eps)
REBUILT = REBUILT_AGAINST_STORED * EPS


def glow(rng: np.random.Generator) -> tfb.Bijector:
    model = tfb.Glow((4, 8, 2), 2, 2, small_network, seed=rng, dtype=np.float64)
    randomize_weights(model, rng, gain=0.5)
    return model


def block(rng: np.random.Generator) -> tfb.Bijector:
    model = tfb.GlowBlock((2, 3, 4), 3, small_network, seed=rng, dtype=np.float64)
    randomize_weights(model, rng)
    return model


def structured(rng: np.random.Generator) -> tfb.Bijector:
    """An array split in two, each mapped by its own chain, and joined again."""
    f64 = np.float64
    return tfb.Chain([
        tfb.Scale(variable(rng, f64, 5, draw=positive)),
        tfb.Invert(tfb.Split([2, 3])),
        tfb.JointMap([tfb.Chain([tfb.Tanh(), tfb.Scale(log_scale=variable(rng, f64, 2))]),
                      random_lu(rng, f64, channels=3)]),
        tfb.Split([2, 3]),
        tfb.Shift(variable(rng, f64, 5))])


def blockwise(rng: np.random.Generator) -> tfb.Bijector:
    f64 = np.float64
    return tfb.Chain([
        tfb.Blockwise([tfb.Sigmoid(), random_lu(rng, f64, channels=3)], [2, 3]),
        random_lu(rng, f64, channels=5),
        tfb.Blockwise([tfb.Chain([tfb.Exp(), tfb.Shift(variable(rng, f64, 4))]), tfb.Tanh()],
                      [4, 1])])


MODELS: dict[str, tuple[Callable[[np.random.Generator], tfb.Bijector], tuple[int, ...]]] = {
    "Glow": (glow, (3, 64)), "GlowBlock": (block, (2, 2, 3, 4)),
    "Chain of structures": (structured, (4, 5)), "Chain of Blockwise": (blockwise, (4, 5))}
ANY = pytest.mark.parametrize("name", MODELS)


def pulled(model: tfb.Bijector, value: Any, forward: bool, memory: str) -> Any:
    """(results, [(name, cotangent)], the pullback) for the same random cotangents in every mode."""
    results, pullback = (model.forward_vjp if forward else model.inverse_vjp)(
        value, memory=memory)
    rng = np.random.default_rng(5)
    bars = map_structure(results, lambda v: rng.standard_normal(v.shape).astype(v.dtype), results)
    value_bar, parameter_bars = pullback(*bars)
    return results, [*iterate(value_bar), *parameter_bars.items()], pullback


def made(name: str, forward: bool) -> tuple[tfb.Bijector, Any]:
    build, shape = MODELS[name]
    rng = np.random.default_rng(1)
    model = build(rng)
    x = rng.standard_normal(shape)
    return model, x if forward else model.forward(x)


@ANY
@DIRECTION
def test_the_modes_agree(name: str, forward: bool) -> None:
    model, value = made(name, forward)
    (y, log_det), expected, _ = pulled(model, value, forward, "store")
    for memory, limit in (("checkpoint", 0.0), ("reversible", REBUILT)):
        results, found, _ = pulled(model, value, forward, memory)
        np.testing.assert_array_equal(results[0], y)
        np.testing.assert_array_equal(results[1], log_det)
        for (parameter, a), (_, b) in zip(found, expected, strict=True):
            error = np.abs(a - b).max()
            assert error <= limit * np.abs(b).max(), f"{memory}, {parameter}: {error:.3g}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
@DIRECTION
def test_every_bijector_in_every_mode(case: Any, forward: bool) -> None:
    model, x, ndims = case.make(7, np.float64)
    value, ndims = (x, ndims) if forward else (model.forward(x), model.forward_event_ndims(ndims))
    for memory in ("checkpoint", "reversible"):
        checks.check_vjp_and_jvp_are_adjoint(model, value, ndims, forward=forward, memory=memory)


@ANY
@DIRECTION
def test_drift_is_what_was_measured(name: str, forward: bool) -> None:
    model, value = made(name, forward)
    for memory in MODES:
        (y, _), pullback = (model.forward_vjp if forward else model.inverse_vjp)(
            value, memory=memory)
        assert pullback.drift is None
        pullback(1.0, 1.0)
        if memory == "reversible":
            back = (model.inverse if forward else model.forward)(y)
            measured = np.abs(back - value).max() / np.abs(value).max()
            assert 0 < pullback.drift < drift_limit(value)
            assert pullback.drift == measured  # the same operations
        else:
            assert pullback.drift == 0


@ANY
@pytest.mark.parametrize("memory", MODES)
def test_a_pullback_can_be_used_twice(name: str, memory: str) -> None:
    model, value = made(name, forward=True)
    _, pullback = model.forward_vjp(value, memory=memory)
    first, _, third = pullback(1.0, 0.5), pullback(-2.0, 1.0), pullback(1.0, 0.5)
    for (path, a), (_, b) in zip(iterate(list(first)), iterate(list(third)), strict=True):
        np.testing.assert_array_equal(a, b, path)


# ---- batches ----------------------------------------------------------------------------------

def broadcasting(rng: np.random.Generator) -> tfb.Bijector:
    """A coupling, then a shift that makes five examples of each."""
    network = dense_coupling(rng, np.float64, 1, 2)
    coupling = tfb.RealNVP(num_masked=1, shift_and_log_scale_fn=network)
    return tfb.Chain([tfb.Shift(variable(rng, np.float64, 5, 1, 3)), randomized(coupling, rng)])


def test_a_batch_that_parameters_enlarge_is_refused_or_given_whole() -> None:
    rng = np.random.default_rng(3)
    model, x = broadcasting(rng), rng.standard_normal((2, 3))
    whole = np.broadcast_to(x, (5, 2, 3)).copy()
    with pytest.raises(ValueError, match=r"batch shape \(2,\) from a result of \(5, 2\)"):
        model.forward_vjp(x, memory="reversible")
    _, expected, _ = pulled(model, whole, True, "store")
    _, found, _ = pulled(model, whole, True, "reversible")
    for (name, a), (_, b) in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=REBUILT * np.abs(b).max(), err_msg=name)
    for memory in ("store", "checkpoint"):
        _, pullback = model.forward_vjp(x, memory=memory)
        assert pullback(1.0, 1.0)[0].shape == x.shape
    with pytest.raises(ValueError, match=r"of batch shape \(1,\), \(4,\) from a result of \(4,\)"):
        tfb.Split([2, 3]).inverse_vjp([np.ones((1, 2)), np.ones((4, 3))], memory="reversible")


def test_parts_of_different_batches_that_do_not_meet() -> None:
    """The log-det has the batch of both; each part gets the sum over what is not its own."""
    rng = np.random.default_rng(4)
    network = dense_coupling(rng, np.float64, 1, 2)
    coupling = tfb.RealNVP(num_masked=1, shift_and_log_scale_fn=network)
    model = tfb.JointMap([randomized(coupling, rng), tfb.Exp()])
    x = [rng.standard_normal((1, 3)), rng.standard_normal((4, 2))]
    bars, results = [[rng.standard_normal(part.shape) for part in x], rng.standard_normal(4)], []
    for memory in MODES:
        _, pullback = model.forward_vjp(x, [1, 1], memory=memory)
        x_bar, parameter_bars = pullback(*bars)
        results.append([*x_bar, *parameter_bars.values()])
    for found in results[1:]:
        for a, b in zip(found, results[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=REBUILT * np.abs(b).max())


def test_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="store, checkpoint, reversible; got 'none'"):
        tfb.Exp().forward_vjp(np.ones(3), memory="none")


# ---- ill-conditioned weights ------------------------------------------------------------------

def ill_conditioned(small: float, dtype: type) -> tuple[tfb.Bijector, np.ndarray]:
    """A block whose 1x1 convolutions nearly lose a channel."""
    rng = np.random.default_rng(2)
    model = tfb.GlowBlock((2, 3, 4), 3, small_network, seed=rng, dtype=dtype)
    randomize_weights(model, rng, gain=0.5)
    for parameter in model.trainable_variables:
        if parameter.name.endswith("lower_upper"):
            factors = parameter.numpy().copy()
            factors[0, 0] = small
            parameter.assign(factors)
    return model, rng.standard_normal((2, 2, 3, 4)).astype(dtype)


def test_a_large_drift_is_warned_of_with_its_size() -> None:
    model, y = ill_conditioned(1e-2, np.float32)
    _, pullback = model.inverse_vjp(y, memory="reversible")
    with pytest.warns(RuntimeWarning, match="memory='reversible' rebuilt its input") as caught:
        pullback(1.0, 1.0)
    assert pullback.drift > drift_limit(y) == pytest.approx(float(np.finfo(np.float32).eps) ** 0.5)
    assert f"{pullback.drift:.2g}" in str(caught[0].message)
    assert caught[0].filename == __file__
    normal = tfd.Sample(tfd.Normal(np.float32(0), np.float32(1)), [2, 3, 4])
    with pytest.warns(RuntimeWarning, match="memory='reversible' rebuilt its input") as caught:
        model(normal).log_prob_and_grad(y, memory="reversible")
    assert caught[0].filename == __file__
    for memory in ("store", "checkpoint"):
        _, pullback = model.inverse_vjp(y, memory=memory)
        pullback(1.0, 1.0)  # warnings are errors here
    wide, wide_y = ill_conditioned(1e-2, np.float64)
    _, pullback = wide.inverse_vjp(wide_y, memory="reversible")
    pullback(1.0, 1.0)
    assert EPS < pullback.drift < drift_limit(wide_y)


def test_weights_that_are_not_numbers_are_warned_of() -> None:
    model, y = ill_conditioned(1.0, np.float64)
    next(v for v in model.trainable_variables if v.name.endswith("shift")).assign(
        np.full(4, np.nan))
    _, pullback = model.inverse_vjp(y, memory="reversible")
    with pytest.warns(RuntimeWarning, match="relative error of nan"):
        pullback(1.0, 1.0)
    assert np.isnan(pullback.drift)


def test_well_conditioned_weights_are_not_warned_of() -> None:
    model, y = ill_conditioned(1.0, np.float32)
    _, pullback = model.inverse_vjp(y, memory="reversible")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pullback(1.0, 1.0)
    assert 0 < pullback.drift < drift_limit(y)


# ---- memory -----------------------------------------------------------------------------------

def activation_memory(steps: int, memory: str, forward: bool) -> int:
    """The peak of a forward and a backward pass, beyond the model and its gradients, in bytes."""
    rng = np.random.default_rng(0)
    model = tfb.GlowBlock((16, 16, 4), steps, lambda shape, dtype, seed: small_network(
        shape, num_hidden=8, dtype=dtype, seed=seed), seed=rng, dtype=np.float64)
    for actnorm in model.submodules:
        if isinstance(actnorm, ActivationNormalization):
            actnorm.mark_initialized()
    gradients = sum(v.numpy().nbytes for v in model.trainable_variables)
    value = rng.standard_normal((32, 16, 16, 4))  # large beside the gradients' Python objects
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        results, pullback = (model.forward_vjp if forward else model.inverse_vjp)(
            value, memory=memory)
        pulled = pullback(1.0, 1.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert results and pulled
    return peak - before - gradients


@DIRECTION
@pytest.mark.parametrize("backend", ["spec", "cpu"])
def test_reversible_memory_does_not_grow_with_the_number_of_steps(backend: str,
                                                                  forward: bool) -> None:
    with use_backend(backend):
        few, many = (activation_memory(steps, "reversible", forward) for steps in (4, 64))
    assert many <= 1.05 * few, f"{few} bytes for 4 steps, {many} for 64"


@DIRECTION
@pytest.mark.parametrize("backend", ["spec", "cpu"])
def test_stored_memory_grows_with_the_number_of_steps(backend: str, forward: bool) -> None:
    """So the measurement can fail.

    Of each step are kept, for each pixel, at least the network's two layers of 8 numbers, and the
    4 channels that its 1x1 convolution and its coupling were given. (A kernel's workspace comes on
    top of it, once for all steps: a multiple would say how large that is.)
    """
    with use_backend(backend):
        few, many = (activation_memory(steps, "store", forward) for steps in (4, 16))
    of_a_step = (2 * 8 + 2 * 4) * 32 * 16 * 16 * 8
    assert many - few >= 12 * of_a_step, f"{few} bytes for 4 steps, {many} for 16"


def test_checkpoint_memory_lies_between() -> None:
    """For a Glow of several blocks: their inputs, and one block's activations."""
    def peak(memory: str) -> int:
        rng = np.random.default_rng(0)
        model = tfb.Glow((16, 16, 2), 3, 8, small_network, seed=rng, use_actnorm=False,
                         dtype=np.float64)
        image = rng.standard_normal((8, 16, 16, 2))
        tracemalloc.start()
        try:
            _, pullback = model.inverse_vjp(image, memory=memory)
            pullback(1.0, 1.0)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    store, checkpoint, reversible = (peak(memory) for memory in MODES)
    assert reversible < checkpoint < 0.8 * store
