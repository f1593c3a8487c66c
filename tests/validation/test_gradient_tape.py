"""refglow's gradients against automatic differentiation: tf.GradientTape on TFP, and PyTorch.

On random architectures with random weights in every layer, in float64:

    d mean(log_prob) / d parameters          and with respect to the images, weighted at random
    d sum(value_bar * forward(z)) / d parameters          and with respect to the latents
"""

from copy import copy

import numpy as np
import pytest
from planting import replace_op

from refglow import distributions as rgd
from refglow.bijectors import activation_normalization, glow_coupling, scale_matvec_lu
from refglow.validation.conditioning import measured_condition
from refglow.validation.live import random_glow
from refglow.validation.random_models import random_architecture, random_images
from refglow.validation.tolerances import (
    GRADIENTS_AGAINST_AUTODIFF,
    agreement,
    rounding_layers,
)

BATCH = 3


class Problem:
    """A random Glow, images, latents of other images, and random cotangents."""

    def __init__(self, seed, **architecture):
        rng = np.random.default_rng([2024, seed])
        arguments = random_architecture(rng) | architecture
        self.glow = random_glow(arguments, rng, np.float64)
        self.images, others = (random_images(rng, BATCH, arguments["output_shape"])
                               for _ in range(2))
        self.z = self.glow.inverse(others)
        self.value_bar = rng.standard_normal(self.images.shape)
        self.log_prob_bar = rng.standard_normal(BATCH)
        self.size = self.z.shape[1]


def ours(problem, memory="store"):
    """Every gradient by name: "log_prob.<parameter>", "sample.<parameter>", "images", "latents"."""
    px = problem.glow(rgd.Sample(rgd.Normal(0.0, 1.0), [problem.size]))
    _, mean_bars = px.log_prob_and_grad(problem.images, memory=memory)
    _, pullback = px.log_prob_vjp(problem.images, memory)
    images_bar, _ = pullback(problem.log_prob_bar)
    _, pullback = problem.glow.forward_vjp(problem.z, memory=memory)
    z_bar, sample_bars = pullback(problem.value_bar)
    return ({name.replace("bijector", "log_prob", 1): bar for name, bar in mean_bars.items()}
            | {f"sample.{name}": bar for name, bar in sample_bars.items()}
            | {"images": images_bar, "latents": z_bar})


def with_gradient_tape(problem, tf):
    """The same from TFP's Glow with the same weights."""
    import tensorflow_probability as tfp

    from refglow.validation.tfp import param_names, tfp_twin
    twin = tfp_twin(problem.glow)
    names, variables = param_names(twin), list(twin.trainable_variables)
    zero, one = tf.constant(0, tf.float64), tf.constant(1, tf.float64)
    px = tfp.distributions.TransformedDistribution(
        tfp.distributions.Sample(tfp.distributions.Normal(zero, one), [problem.size]), twin)
    images, z = tf.constant(problem.images), tf.constant(problem.z)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([images, z])
        log_prob = px.log_prob(images)
        mean = tf.reduce_mean(log_prob)
        weighted = tf.reduce_sum(log_prob * problem.log_prob_bar)
        drawn = tf.reduce_sum(twin.forward(z) * problem.value_bar)
    bars = {"images": tape.gradient(weighted, images), "latents": tape.gradient(drawn, z)}
    for kind, value in (("log_prob", mean), ("sample", drawn)):
        bars |= {f"{kind}.{name}": bar for name, bar
                 in zip(names, tape.gradient(value, variables), strict=True)}
    assert not [name for name, bar in bars.items() if bar is None]
    return {name: tf.convert_to_tensor(bar).numpy() for name, bar in bars.items()}


def with_pytorch(problem):
    """The same from the PyTorch oracle."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from refglow.validation.torch_oracle import torch_forward, torch_log_prob, torch_parameters
    parameters = torch_parameters(problem.glow)
    names = [variable.name for variable in problem.glow.trainable_variables]
    leaves = [parameters[name] for name in names]
    images, z = (torch.tensor(array, requires_grad=True) for array in (problem.images, problem.z))
    log_prob = torch_log_prob(problem.glow, parameters, images)
    drawn = (torch_forward(problem.glow, parameters, z)[0] * torch.tensor(problem.value_bar)).sum()

    def gradients(value, inputs):
        return torch.autograd.grad(value, inputs, retain_graph=True)
    weighted = (log_prob * torch.tensor(problem.log_prob_bar)).sum()
    bars = {"images": gradients(weighted, [images])[0], "latents": gradients(drawn, [z])[0]}
    for kind, value in (("log_prob", log_prob.mean()), ("sample", drawn)):
        bars |= {f"{kind}.{name}": bar for name, bar
                 in zip(names, gradients(value, leaves), strict=True)}
    return {name: bar.numpy() for name, bar in bars.items()}


def wrong(problem, found, expected):
    """{name: error} where a gradient is further off than roundings explain.

    Errors are max-norms relative to that of the expected array; absolute, where that is zero. Only
    if one exceeds the limit, it is measured how far roundings move the gradients of this Glow.
    """
    assert found.keys() == expected.keys()
    errors = {}
    for name, array in expected.items():
        assert found[name].shape == array.shape and found[name].dtype == np.float64
        errors[name] = np.abs(found[name] - array).max() / (np.abs(array).max() or 1.0)
    beyond = {name: error for name, error in errors.items()
              if not error <= GRADIENTS_AGAINST_AUTODIFF}
    limits = rounding_limits(problem) if beyond else {}
    return {name: error for name, error in beyond.items() if not error <= limits[name]}


def rounding_limits(problem):
    """{name: what roundings in every layer do to it}, by each gradient's own measured condition."""
    def gradients(inputs):
        moved = copy(problem)
        moved.images, moved.z = inputs
        return list(ours(moved).values())
    kappas = measured_condition(problem.glow, gradients, [problem.images, problem.z])
    layers = rounding_layers(problem.glow)
    return {name: agreement(np.float64, layers, kappa).relative
            for name, kappa in zip(ours(problem), kappas, strict=True)}


@pytest.mark.tfp
@pytest.mark.parametrize("seed", range(12))
def test_gradients_are_those_of_gradient_tape(tf, seed):
    problem = Problem(seed)
    assert wrong(problem, ours(problem), with_gradient_tape(problem, tf)) == {}


@pytest.mark.tfp
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 62))
def test_gradients_are_those_of_gradient_tape_on_fifty_more(tf, seed):
    problem = Problem(seed)
    assert wrong(problem, ours(problem), with_gradient_tape(problem, tf)) == {}


@pytest.mark.parametrize("seed", range(12))
def test_gradients_are_those_of_pytorch(seed):
    problem = Problem(seed)
    assert wrong(problem, ours(problem), with_pytorch(problem)) == {}


@pytest.mark.parametrize("memory", ["checkpoint", "reversible"])
def test_every_mode_of_memory_gives_them(memory):
    problem = Problem(3)
    assert wrong(problem, ours(problem, memory), with_pytorch(problem)) == {}


def test_the_architectures_have_every_kind_of_part():
    """Affine and additive couplings and exits, no exits, ActNorm or none, one to three blocks."""
    glows = [Problem(seed).glow for seed in range(12)]
    assert {len(glow.blockwise_splits) for glow in glows} == {1, 2, 3}
    names = [{variable.name for variable in glow.trainable_variables} for glow in glows]
    for kind in ("actnorm", "exit"):
        assert len({any(kind in name for name in found) for found in names}) == 2
    assert {bool(np.abs(v.numpy()).max()) for glow in glows
            for v in glow.trainable_variables} == {True}


# ---- planted bugs -------------------------------------------------------------------------------

ALL_PARTS = dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=2,
                 grab_after_block=(0.5, 0.5), use_actnorm=True, affine=True, affine_exits=True)


def slightly_off(original, place):
    """One of the cotangents that a pullback returns, wrong by 1e-8 of itself."""
    def vjp(*arguments):
        bars = list(original(*arguments))
        bars[place] = bars[place] * (1 + 1e-8)
        return tuple(bars)
    return vjp


def without_log_det(original):
    """A pullback that forgets what the log-det contributes."""
    def vjp(*arguments):
        return original(*arguments[:-1], np.zeros_like(arguments[-1]))
    return vjp


BUGS = {  # module, op, the bug, which parameters' gradients it spoils
    "log-scale of ActNorm": (activation_normalization, "ACTIVATION_NORMALIZATION",
                             lambda vjp: slightly_off(vjp, 2), "actnorm.log_scale"),
    "log-det of ActNorm": (activation_normalization, "ACTIVATION_NORMALIZATION", without_log_det,
                           "actnorm.log_scale"),
    "LU factors": (scale_matvec_lu, "SCALE_MATVEC_LU", lambda vjp: slightly_off(vjp, 1),
                   "conv.lower_upper"),
    "log-det of LU factors": (scale_matvec_lu, "SCALE_MATVEC_LU", without_log_det,
                              "conv.lower_upper"),
    "scale of couplings": (glow_coupling, "SIGMOID_AFFINE", lambda vjp: slightly_off(vjp, 1),
                           "coupling.conv3.kernel"),
    "log-det of exits": (glow_coupling, "EXP_AFFINE", without_log_det, "exit.conv1.kernel"),
}


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.usefixtures("by_the_specification")
def test_a_wrong_gradient_is_seen(monkeypatch, bug):
    module, op, plant, spoiled = BUGS[bug]
    problem = Problem(0, **ALL_PARTS)
    expected = with_pytorch(problem)
    assert wrong(problem, ours(problem), expected) == {}
    replace_op(monkeypatch, module, op, **{
        name: plant(getattr(getattr(module, op), name)) for name in ("forward_vjp", "inverse_vjp")})
    found = wrong(problem, ours(problem), expected)
    kinds = {name.partition(".")[0] for name in found if name.endswith(spoiled)}
    assert "log_prob" in kinds and ("log-det" in bug or "sample" in kinds)


@pytest.mark.slow
def test_an_ill_conditioned_glow_has_a_limit_too():
    """Samples of this one move by 1e7 times the change of its data."""
    problem = Problem(16)
    found, expected = ours(problem), with_pytorch(problem)
    assert wrong(problem, found, expected) == {}
    limits = rounding_limits(problem)
    assert 1e-9 < max(limits.values()) < 1e-6
    off = {name: bar * (1 + 2 * max(limits.values())) for name, bar in found.items()}
    assert wrong(problem, off, expected).keys() == found.keys()


@pytest.mark.tfp
@pytest.mark.usefixtures("by_the_specification")
def test_a_wrong_gradient_is_seen_by_gradient_tape(tf, monkeypatch):
    problem = Problem(0, **ALL_PARTS)
    expected = with_gradient_tape(problem, tf)
    found = ours(problem)
    assert wrong(problem, found, expected) == {}
    of_the_sum = {name: bar * BATCH if name.startswith("log_prob.") else bar
                  for name, bar in found.items()}
    assert wrong(problem, of_the_sum, expected).keys() == {
        name for name in found if name.startswith("log_prob.")}
    replace_op(monkeypatch, scale_matvec_lu, "SCALE_MATVEC_LU", inverse_vjp=slightly_off(
        scale_matvec_lu.SCALE_MATVEC_LU.inverse_vjp, 1))
    assert any(name.endswith("lower_upper") for name in wrong(problem, ours(problem), expected))
