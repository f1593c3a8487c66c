"""Derivatives of densities and of draws: against complex steps, and against tf.GradientTape.

A case is built three times from the same numbers: in float64; in complex128, where a step of 1e-30
along i gives derivatives without subtraction; and by TFP. Draws of the complex distribution have
the noise of the real one, as real numbers, so that a draw is a function of the parameters alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from refglow import Variable
from refglow import bijectors as rgb
from refglow import distributions as rgd
from refglow.distributions import normal, transformed_distribution
from refglow.structure import flatten
from refglow.validation.cases import small_network
from refglow.validation.random_models import randomize_weights
from refglow.validation.tolerances import ADJOINT
from refglow.validation.tolerances import DERIVATIVE_AGAINST_COMPLEX_STEP as TOLERANCE

STEP = 1e-30
PERMUTATION = np.array([2, 0, 3, 1])


def numbers(*shape):
    return 0.3 + 0.7 * np.random.default_rng([1, *shape]).standard_normal(shape)


def positive(*shape):
    return 0.5 + np.random.default_rng([2, *shape]).random(shape)


def factors():
    return numbers(4, 4) * 0.3 + 2 * np.eye(4)


def small_glow(v):
    """A Glow with random weights in every layer, its dtype that of the variables `v` makes."""
    glow = rgb.Glow((2, 4, 1), 1, 2, lambda shape, dtype: small_network(shape, 2, dtype=dtype),
                    seed=0, dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(5), gain=0.5)
    return glow.astype(v(numbers(), "of no use").dtype)


# d, b: the library's distributions and bijectors; v: makes its variables, of which all derivatives
# are taken; a: its constants.
CASES = {
    "normal": lambda d, b, v, a: d.Normal(v(numbers(), "loc"), v(positive(), "scale")),
    "normal, batched": lambda d, b, v, a: d.Normal(v(numbers(3, 1), "loc"),
                                                   v(positive(2), "scale")),
    "normal, constant loc": lambda d, b, v, a: d.Normal(a(numbers(2)), v(positive(3, 1), "scale")),
    "sample": lambda d, b, v, a: d.Sample(
        d.Normal(v(numbers(2, 1), "loc"), v(positive(3), "scale")), 4),
    "sample of matrices": lambda d, b, v, a: d.Sample(
        d.Normal(v(numbers(2), "loc"), v(positive(), "scale")), (3, 4)),
    "independent": lambda d, b, v, a: d.Independent(
        d.Normal(v(numbers(2, 3, 4), "loc"), v(positive(3, 1), "scale")), 2),
    "sample of independent": lambda d, b, v, a: d.Sample(d.Independent(
        d.Normal(v(numbers(3, 2), "loc"), v(positive(2), "scale")), 1), [4]),
    "independent of sample": lambda d, b, v, a: d.Independent(d.Sample(
        d.Normal(v(numbers(2, 3), "loc"), v(positive(3), "scale")), 4), 1),
    "log normal": lambda d, b, v, a: b.Exp()(
        d.Normal(v(numbers(3), "loc"), v(positive(), "scale"))),
    "chain": lambda d, b, v, a: b.Chain(
        [b.Shift(v(numbers(), "shift")), b.Sigmoid(), b.Scale(v(positive(2, 1), "factor"))])(
            d.Normal(v(numbers(3), "loc"), a(positive()))),
    "lifted base": lambda d, b, v, a: b.Shift(v(numbers(5, 4), "shift"))(
        d.Sample(d.Normal(v(numbers(), "loc"), v(positive(), "scale")), 4)),
    "lifted batch": lambda d, b, v, a: b.Scale(v(positive(5, 1, 4), "factor"))(
        d.Sample(d.Normal(v(numbers(3), "loc"), v(positive(3), "scale")), 4)),
    "lifted number": lambda d, b, v, a: d.Independent(b.Exp()(b.Scale(v(positive(3, 1), "factor"))(
        d.Normal(v(numbers(), "loc"), v(positive(2), "scale")))), 1),
    "lu": lambda d, b, v, a: b.ScaleMatvecLU(v(factors(), "lower_upper"), PERMUTATION)(
        d.Sample(d.Normal(v(numbers(3), "loc"), v(positive(), "scale")), 4)),
    "nested": lambda d, b, v, a: d.TransformedDistribution(d.TransformedDistribution(
        d.Normal(v(numbers(2), "loc"), v(positive(), "scale")), b.Exp()),
        b.Shift(v(numbers(3, 1), "shift"))),
    "sample of transformed": lambda d, b, v, a: d.Sample(
        b.Sigmoid()(d.Normal(v(numbers(2), "loc"), v(positive(), "scale"))), 5),
    "folded": lambda d, b, v, a: b.AbsoluteValue()(
        d.Normal(v(numbers(3, 1), "loc"), v(positive(2), "scale"))),
    "sample of folded": lambda d, b, v, a: d.Sample(b.AbsoluteValue()(
        d.Normal(v(numbers(2), "loc"), v(positive(), "scale"))), 3),
    "split": lambda d, b, v, a: b.Split([1, 3])(
        d.Sample(d.Normal(v(numbers(2), "loc"), v(positive(), "scale")), 4)),
    "split and mapped": lambda d, b, v, a: d.TransformedDistribution(
        b.Split([1, 3])(d.Sample(d.Normal(v(numbers(2), "loc"), v(positive(), "scale")), 4)),
        b.JointMap([b.Exp(), b.Scale(v(positive(3), "factor"))])),
}
REFGLOW_ONLY = {  # TFP's Glow: tests/validation/test_gradient_tape.py; its nested folds: no density
    "log of folded": lambda d, b, v, a: d.TransformedDistribution(b.AbsoluteValue()(
        d.Normal(v(numbers(2), "loc"), v(positive(), "scale"))), b.Invert(b.Exp())),
    "glow": lambda d, b, v, a: small_glow(v)(
        d.Sample(d.Normal(v(numbers(), "loc"), v(positive(), "scale")), 8)),
    "glow of a batch": lambda d, b, v, a: small_glow(v)(
        d.Sample(d.Normal(v(numbers(2), "loc"), a(positive())), 8)),
}
ALL = CASES | REFGLOW_ONLY
case = pytest.mark.parametrize("name", ALL)


def build(make, dtype=np.float64):
    """refglow's distribution of a case."""
    return make(rgd, rgb, lambda array, name: Variable(array, name, dtype=dtype),
                lambda array: np.asarray(array, dtype))


@dataclass
class Problem:
    """A distribution with its complex twin, a value, and directions for everything."""

    make: Callable[..., Any]
    sample_shape: Any = 3

    def __post_init__(self):
        self.real, self.twin = build(self.make), build(self.make, np.complex128)
        self.value = self.real.sample(self.sample_shape, seed=4)
        self.parameters = {v.name: v.numpy() for v in self.real.trainable_variables}
        rng = np.random.default_rng(9)
        self.log_prob_bar = rng.standard_normal(self.real.log_prob(self.value).shape)
        self.value_dot = like(rng, self.value)
        self.dots = {n: rng.standard_normal(p.shape) for n, p in self.parameters.items()}

    def moved(self, dots, scale=1j * STEP):
        """The twin with its parameters moved by scale * dots; those not named stand still."""
        for variable in self.twin.trainable_variables:
            value = self.parameters[variable.name]
            variable.assign(value + scale * dots.get(variable.name, np.zeros_like(value)))
        return self.twin


def like(rng, value):
    """Random arrays in the structure of `value`."""
    if isinstance(value, list):
        return [like(rng, part) for part in value]
    return rng.standard_normal(value.shape)


def leaves(value):
    return flatten(value, value) if isinstance(value, list) else [value]


def stepped(value, dots=None):
    """value + i h dots, in the structure of `value`; without dots `value` as complex numbers."""
    if isinstance(value, list):
        return [stepped(*pair) for pair in zip(value, dots or [None] * len(value), strict=True)]
    return value + 1j * STEP * (np.zeros_like(value) if dots is None else dots)


def slope(result):
    return result.imag / STEP


def units(array):
    """Every direction along one axis."""
    for index in np.ndindex(*array.shape):
        unit = np.zeros_like(array)
        unit[index] = 1
        yield index, unit


def gradients(problem, function, value=None):
    """The gradient of function(distribution[, value]) with respect to each parameter, by complex
    steps; under the name None that of the value, if there is one."""
    found = {}
    for name, array in problem.parameters.items():
        found[name] = np.zeros_like(array)
        for index, unit in units(array):
            at = None if value is None else stepped(value)
            found[name][index] = slope(function(problem.moved({name: unit}), at))
    if value is not None:
        parts, still = leaves(value), problem.moved({})
        found[None] = [np.zeros_like(part) for part in parts]
        for k, part in enumerate(parts):
            for index, unit in units(part):
                steps = [unit if j == k else np.zeros_like(p) for j, p in enumerate(parts)]
                at = stepped(value, steps if isinstance(value, list) else steps[0])
                found[None][k][index] = slope(function(still, at))
    return found


def assert_close(found, expected, tolerance=TOLERANCE):
    """Arrays, lists and dicts of them: the largest error relative to the largest number."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        found, expected = list(found.values()), list(expected.values())
    if isinstance(expected, (list, tuple)):
        for pair in zip(found, expected, strict=True):
            assert_close(*pair, tolerance)
        return
    assert found.shape == expected.shape and found.dtype == expected.dtype
    scale = np.abs(expected).max(initial=0) or 1.0
    assert np.abs(found - expected).max(initial=0) <= tolerance * scale


# ---- the density ------------------------------------------------------------------------------

def check_log_prob_vjp(problem):
    log_prob, pullback = problem.real.log_prob_vjp(problem.value)
    assert_close(log_prob, problem.real.log_prob(problem.value))
    value_bar, bars = pullback(problem.log_prob_bar)
    expected = gradients(problem, lambda p, y: (problem.log_prob_bar * p.log_prob(y)).sum(),
                         problem.value)
    assert_close(leaves(value_bar), expected.pop(None))
    assert_close(bars, expected)


@case
def test_log_prob_vjp_is_the_complex_step(name):
    problem = Problem(ALL[name])
    check_log_prob_vjp(problem)
    assert set(problem.parameters) <= set(problem.real.state_dict())


@case
def test_log_prob_jvp_is_the_complex_step(name):
    problem = Problem(ALL[name], (2, 3))
    log_prob, log_prob_dot = problem.real.log_prob_jvp(problem.value, problem.value_dot,
                                                       problem.dots)
    assert_close(log_prob, problem.real.log_prob(problem.value))
    moved = problem.moved(problem.dots)
    assert_close(log_prob_dot, slope(moved.log_prob(stepped(problem.value, problem.value_dot))))
    _, still = problem.real.log_prob_jvp(problem.value, problem.value_dot)
    assert_close(still, slope(problem.moved({}).log_prob(
        stepped(problem.value, problem.value_dot))))


@case
def test_log_prob_vjp_is_the_adjoint_of_log_prob_jvp(name):
    problem = Problem(ALL[name], (2, 3))
    _, pullback = problem.real.log_prob_vjp(problem.value)
    value_bar, bars = pullback(problem.log_prob_bar)
    _, log_prob_dot = problem.real.log_prob_jvp(problem.value, problem.value_dot, problem.dots)
    terms = [(bar * dot).sum() for bar, dot in zip(
        leaves(value_bar) + list(bars.values()),
        leaves(problem.value_dot) + list(problem.dots.values()), strict=True)]
    assert abs(sum(terms) - (problem.log_prob_bar * log_prob_dot).sum()) <= (
        ADJOINT * np.abs(terms).sum())


@case
def test_log_prob_and_grad_is_the_gradient_of_the_mean(name):
    problem = Problem(ALL[name], (2, 3))
    log_prob, bars = problem.real.log_prob_and_grad(problem.value)
    assert_close(log_prob, problem.real.log_prob(problem.value))
    slopes = {n: slope(problem.moved({n: dot}).log_prob(stepped(problem.value)))
              for n, dot in problem.dots.items()}
    assert list(bars) == list(slopes)
    for n, per_example in slopes.items():
        along = (bars[n] * problem.dots[n]).sum()
        scale = max(np.abs(bars[n] * problem.dots[n]).sum(), np.abs(per_example).mean())
        assert abs(along - per_example.mean()) <= TOLERANCE * scale
        assert abs(along - per_example.sum()) > 1e-3 * abs(along)


@pytest.mark.parametrize("name", ["glow", "glow of a batch", "chain", "lu", "split and mapped"])
def test_modes_of_memory_agree(name):
    problem = Problem(ALL[name])
    expected = problem.real.log_prob_vjp(problem.value)[1](problem.log_prob_bar)
    for memory in ("checkpoint", "reversible"):
        found = problem.real.log_prob_vjp(problem.value, memory)[1](problem.log_prob_bar)
        assert_close(leaves(found[0]), leaves(expected[0]), 1e-12)
        assert_close(found[1], expected[1], 1e-12)
        grad = problem.real.log_prob_and_grad(problem.value, memory)[1]
        assert_close(grad, problem.real.log_prob_and_grad(problem.value)[1], 1e-12)


@pytest.mark.parametrize(("name", "shape"), [
    ("normal, batched", ()), ("normal, batched", (2,)), ("normal, batched", (1, 2)),
    ("sample", (4,)), ("sample", (2, 1, 4)), ("independent", (2, 3, 4)),
    ("lifted base", (4,)), ("lifted batch", (4,)), ("lifted batch", (3, 4)),
    ("independent of sample", (3, 4)), ("folded", (2,)), ("folded", (3, 1)), ("lu", (4,))])
def test_values_that_broadcast_get_the_sum(name, shape):
    """One value for a batch of distributions: its cotangent is the sum over the batch."""
    problem = Problem(ALL[name])
    problem.value = np.random.default_rng(0).random(shape) + 0.2
    rng = np.random.default_rng(1)
    problem.log_prob_bar = rng.standard_normal(problem.real.log_prob(problem.value).shape)
    check_log_prob_vjp(problem)


def test_a_parameter_at_two_places_has_the_sum_under_its_first_name():
    def make(d, b, v, a):
        twice = v(positive(), "twice")
        return b.Scale(twice)(d.Sample(d.Normal(twice, a(positive())), 2))
    problem = Problem(make)
    assert list(problem.parameters) == ["distribution.distribution.loc"]
    check_log_prob_vjp(problem)


def test_the_pullback_keeps_the_parameters_it_was_made_with():
    problem = Problem(ALL["chain"])
    _, pullback = problem.real.log_prob_vjp(problem.value)
    value_bar, bars = pullback(problem.log_prob_bar)
    for variable in problem.real.trainable_variables:
        variable.assign(variable.numpy() * 1.5)
    again = pullback(problem.log_prob_bar)
    assert_close(again[0], value_bar, 0)
    assert_close(again[1], bars, 0)
    half = pullback(problem.log_prob_bar / 2)
    assert_close(half[1], {name: bar / 2 for name, bar in bars.items()})


def test_constants_have_no_cotangents():
    px = rgd.Sample(rgd.Normal(0.5, np.float64(2.0)), 3)
    _, pullback = px.log_prob_vjp(np.zeros((2, 3)))
    value_bar, bars = pullback(1.0)  # a number fills the cotangent
    np.testing.assert_allclose(value_bar, np.full((2, 3), 0.125), rtol=1e-15)
    assert bars == {} and px.log_prob_and_grad(np.zeros((2, 3)))[1] == {}


# ---- draws ------------------------------------------------------------------------------------

def check_sample_vjp(problem):
    draws, pullback = problem.real.sample_vjp((2, 3), seed=8)
    assert_close(leaves(draws), leaves(problem.real.sample((2, 3), seed=8)))
    value_bar = like(np.random.default_rng(3), draws)

    def weighted(p, _):
        parts = zip(leaves(value_bar), leaves(p.sample((2, 3), seed=8)), strict=True)
        return sum((bar * part).sum() for bar, part in parts)
    assert_close(pullback(value_bar), gradients(problem, weighted))


@case
def test_sample_vjp_is_the_complex_step_with_the_same_noise(name):
    check_sample_vjp(Problem(ALL[name]))


@case
def test_sample_jvp_is_the_complex_step_with_the_same_noise(name):
    problem = Problem(ALL[name])
    draws, draws_dot = problem.real.sample_jvp((2, 3), seed=8, param_dots=problem.dots)
    assert_close(leaves(draws), leaves(problem.real.sample((2, 3), seed=8)))
    moved = leaves(problem.moved(problem.dots).sample((2, 3), seed=8))
    assert_close(leaves(draws_dot), [slope(part) for part in moved])
    _, still = problem.real.sample_jvp(2, seed=8)
    assert not any(part.any() for part in leaves(still))


def test_a_generator_is_drawn_on_once():
    px = build(ALL["glow"])
    rng = np.random.default_rng(0)
    first, second = (px.sample_vjp(2, seed=rng)[0] for _ in range(2))
    assert not np.array_equal(first, second)
    assert_close(first, px.sample(2, seed=0))


def test_reverse_kl_through_the_glow_is_the_complex_step():
    """E_q[log q(y) - log p(y)] for y = g(x), x = loc + scale noise, with a Gaussian p.

    log q(y) = log base(x) - fldj(x), so that nothing is inverted. The noise is held fixed.
    """
    problem = Problem(ALL["glow"])
    target = rgd.Independent(rgd.Normal(numbers(2, 4, 1), positive(2, 4, 1)), 3)
    count = 5

    def divergence(q, _):
        y, log_q = q.sample_and_log_prob(count, seed=2)
        return (log_q - target.log_prob(y)).sum() / count

    base, glow = problem.real.distribution, problem.real.bijector
    x, pull_x = base.sample_vjp(count, seed=2)
    log_base, pull_density = base.log_prob_vjp(x)
    (y, fldj), pull_y = glow.forward_vjp(x)
    log_p, pull_p = target.log_prob_vjp(y)
    each = np.full(count, 1 / count)
    y_bar, _ = pull_p(-each)
    x_bar, glow_bars = pull_y(y_bar, -each)
    through_density, density_bars = pull_density(each)
    draw_bars = pull_x(x_bar + through_density)
    found = {f"distribution.{name}": density_bars[name] + draw_bars[name] for name in draw_bars}
    found |= {f"bijector.{name}": bar for name, bar in glow_bars.items()}
    assert_close(np.array((log_base - fldj - log_p).sum() / count),
                 np.asarray(divergence(problem.real, None)))
    assert_close(found, gradients(problem, divergence))


# ---- against TFP --------------------------------------------------------------------------------

@pytest.mark.tfp
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_gradient_tape(tf, name):
    import tensorflow_probability as tfp
    variables, ours = {}, {}

    def their_variable(array, label):
        variables[label] = tf.Variable(array, dtype=tf.float64)
        return variables[label]

    def our_variable(array, label):
        ours[label] = Variable(array, label)
        return ours[label]
    theirs = CASES[name](tfp.distributions, tfp.bijectors, their_variable, tf.constant)
    px = CASES[name](rgd, rgb, our_variable, np.asarray)
    value = px.sample(3, seed=4)
    log_prob, pullback = px.log_prob_vjp(value)
    bar = np.random.default_rng(0).standard_normal(log_prob.shape)
    value_bar, bars = pullback(bar)
    by_storage = {variable.storage: bars[variable.name] for variable in px.trainable_variables}
    parts = [tf.constant(part) for part in leaves(value)]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(parts)
        result = theirs.log_prob(parts if isinstance(value, list) else parts[0])
        weighted = tf.reduce_sum(result * bar)
        mean = tf.reduce_mean(result)
    np.testing.assert_allclose(log_prob, result.numpy(), rtol=1e-11)
    assert_close(leaves(value_bar), [b.numpy() for b in tape.gradient(weighted, parts)], 1e-11)
    _, mean_bars = px.log_prob_and_grad(value)
    mean_by_storage = {v.storage: mean_bars[v.name] for v in px.trainable_variables}
    for label, variable in variables.items():
        storage = ours[label].storage
        assert_close(by_storage[storage], tape.gradient(weighted, variable).numpy(), 1e-11)
        assert_close(mean_by_storage[storage], tape.gradient(mean, variable).numpy(), 1e-11)


# ---- number types and bad input -----------------------------------------------------------------

@case
def test_float32_stays_float32(name):
    narrow, wide = build(ALL[name], np.float32), build(ALL[name])
    value = narrow.sample(3, seed=4)
    log_prob, pullback = narrow.log_prob_vjp(value)
    value_bar, bars = pullback(np.ones_like(log_prob))
    draws, pull_draws = narrow.sample_vjp(2, seed=0)
    _, draws_dot = narrow.sample_jvp(2, seed=0)
    _, log_prob_dot = narrow.log_prob_jvp(value, value)
    found = [log_prob, log_prob_dot, *leaves(value_bar), *leaves(draws), *leaves(draws_dot),
             *bars.values(), *narrow.log_prob_and_grad(value)[1].values(),
             *pull_draws(draws).values()]
    assert {array.dtype.name for array in found} == {"float32"}
    wide_value = [p.astype(np.float64) for p in value] if isinstance(value, list) else (
        value.astype(np.float64))
    _, expected = wide.log_prob_vjp(wide_value)[1](1.0)
    for n, bar in bars.items():
        assert np.abs(bar - expected[n]).max() <= 1e-3 * np.abs(expected[n]).max()


def test_cotangents_that_do_not_fit_are_refused():
    px = build(ALL["sample"])
    value = px.sample(5, seed=0)  # [5, 2, 3, 4], log density [5, 2, 3]
    _, pullback = px.log_prob_vjp(value)
    with pytest.raises(ValueError, match=r"cotangent of the log density has shape \[5, 3\].*"
                                         r"\[5, 2, 3\]"):
        pullback(np.zeros((5, 3)))
    with pytest.raises(TypeError, match="float32"):
        pullback(np.zeros((5, 2, 3), np.float32))
    draws, pull_draws = px.sample_vjp(2, seed=0)
    with pytest.raises(ValueError, match=r"cotangent of the draws has shape \[2, 3, 4\]"):
        pull_draws(draws[0])
    with pytest.raises(TypeError, match="float32"):
        pull_draws(draws.astype(np.float32))
    with pytest.raises(ValueError, match="tangent of the value has shape"):
        px.log_prob_jvp(value, value[0])
    with pytest.raises(ValueError, match="state_dict"):
        px.log_prob_jvp(value, value, {"loc": np.zeros((2, 1))})
    with pytest.raises(ValueError, match=r"distribution.loc.*\(2,\).*\(2, 1\)"):
        px.sample_jvp(2, seed=0, param_dots={"distribution.loc": np.zeros(2)})
    with pytest.raises(ValueError, match="shape"):
        px.log_prob_vjp(value[..., :3])
    with pytest.raises(ValueError, match="memory must be one of"):
        build(ALL["glow"]).log_prob_vjp(np.zeros((1, 2, 4, 1)), memory="all")
    structured = build(ALL["split"])
    parts, pull_parts = structured.sample_vjp(2, seed=0)
    with pytest.raises(ValueError, match="not structured like it"):
        pull_parts(parts[:1])


@case
def test_no_examples(name):
    px = build(ALL[name])
    value = px.sample(0, seed=0)
    log_prob, pullback = px.log_prob_vjp(value)
    assert log_prob.size == 0
    _, bars = pullback(log_prob)
    draws, pull_draws = px.sample_vjp(0, seed=0)
    for found in (bars, pull_draws(draws)):
        assert list(found) == [variable.name for variable in px.trainable_variables]
        assert all(not bar.any() and bar.shape == px.state_dict()[n].shape
                   for n, bar in found.items())
    with pytest.raises(ValueError, match="mean over no examples"):
        px.log_prob_and_grad(value)


def test_an_uninitialised_actnorm_is_refused():
    glow = rgb.Glow((2, 4, 1), 1, 1, small_network, seed=0, dtype=np.float64)
    px = glow(rgd.Sample(rgd.Normal(0.0, 1.0), 8))
    image = np.random.default_rng(0).random((3, 2, 4, 1))
    for call in (lambda: px.log_prob_vjp(image), lambda: px.log_prob_and_grad(image),
                 lambda: px.log_prob_jvp(image, image), lambda: px.sample_vjp(2, seed=0),
                 lambda: px.sample_jvp(2, seed=0)):
        with pytest.raises(ValueError, match="initiali"):
            call()
    assert not any(glow.state_dict()[n] for n in glow.state_dict() if n.endswith("initialized"))
    glow.initialize(image)
    assert np.isfinite(px.log_prob_and_grad(image)[0]).all()


@pytest.mark.parametrize("wrap", [lambda px: rgd.Sample(px, 3), lambda px: rgd.Independent(px, 0),
                                  lambda px: rgb.Shift(1.0)(px)])
def test_values_are_checked_by_the_distribution_inside(wrap):
    px = wrap(rgd.Normal(0.0, 1.0, validate_args=True))
    value = np.array([1.0, np.nan, 2.0])
    for call in (px.log_prob, px.log_prob_vjp, lambda v: px.log_prob_jvp(v, np.ones(3))):
        with pytest.raises(ValueError, match="Normal: value holds 1 NaNs"):
            call(value)


def test_too_few_preimages_are_refused():
    folded = rgb.AbsoluteValue()(rgd.Sample(rgd.Normal(0.0, np.float64(1.0)), 3))
    for call in (lambda: folded.log_prob_vjp(np.ones(3)),
                 lambda: folded.log_prob_jvp(np.ones(3), np.ones(3))):
        with pytest.raises(NotImplementedError, match="does not list all preimages"):
            call()
    with pytest.raises(NotImplementedError, match="not injective"):
        build(ALL["folded"]).log_prob_vjp(np.ones((3, 2)), memory="reversible")


# ---- planted bugs -------------------------------------------------------------------------------

def without_log_scale(x, loc, scale, log_prob_bar):
    """The derivative of -log scale left out."""
    x_bar, loc_bar, scale_bar = original_vjp(x, loc, scale, log_prob_bar)
    return x_bar, loc_bar, scale_bar + (log_prob_bar / scale).sum()


original_vjp = normal.normal_log_prob_vjp


def test_a_wrong_derivative_of_the_density_is_seen(monkeypatch):
    problem = Problem(ALL["normal"])
    check_log_prob_vjp(problem)
    monkeypatch.setattr(normal, "normal_log_prob_vjp", without_log_scale)
    with pytest.raises(AssertionError):
        check_log_prob_vjp(problem)


@pytest.mark.parametrize("name", ["folded", "sample of folded"])
def test_branches_without_their_weights_are_seen(monkeypatch, name):
    problem = Problem(ALL[name])
    check_log_prob_vjp(problem)
    monkeypatch.setattr(transformed_distribution, "exp", np.ones_like)
    with pytest.raises(AssertionError):
        check_log_prob_vjp(problem)
    with pytest.raises(AssertionError):
        test_log_prob_jvp_is_the_complex_step(name)


def test_dimensions_in_the_wrong_order_are_seen(monkeypatch):
    """Sample's cotangents, with the batch and the sample dimensions exchanged (both of size 3)."""
    def make(d, b, v, a):
        return d.Sample(d.Normal(v(numbers(3), "loc"), v(positive(3), "scale")), 3)
    problem = Problem(make)
    check_log_prob_vjp(problem)
    monkeypatch.setattr(rgd.Sample, "_event_of", lambda self, draws, batch_ndims: draws)
    with pytest.raises(AssertionError):
        check_log_prob_vjp(problem)


def test_noise_in_place_of_one_is_seen(monkeypatch):
    """A draw's derivative with respect to loc is 1, not the noise."""
    problem = Problem(ALL["log normal"])
    check_sample_vjp(problem)
    monkeypatch.setattr(normal, "_summed", lambda bar, parameter: np.full_like(
        parameter, (bar * 1.01).sum()))
    with pytest.raises(AssertionError):
        check_sample_vjp(problem)


def test_the_gradient_of_the_sum_is_seen(monkeypatch):
    problem = Problem(ALL["chain"], (2, 3))
    original = rgd.Distribution.log_prob_and_grad

    def of_the_sum(self, value):
        log_prob, bars = original(self, value)
        return log_prob, {name: bar * log_prob.size for name, bar in bars.items()}
    monkeypatch.setattr(rgd.Distribution, "log_prob_and_grad", of_the_sum)
    assert problem.real.log_prob_and_grad(problem.value)[0].size > 1
    with pytest.raises(AssertionError):
        test_log_prob_and_grad_is_the_gradient_of_the_mean("chain")
