"""Every bijector's derivatives: against complex steps, in every shape and number type."""

from typing import Any

import mpmath
import numpy as np
import pytest

import refglow as rg
from refglow import bijectors as tfb
from refglow.cotangents import unbroadcast
from refglow.networks import Dense, ReLU, Sequential
from refglow.structure import iterate, map_structure
from refglow.validation import checks
from refglow.validation.cases import CASES, NON_INJECTIVE, Case, small_network
from refglow.validation.random_models import randomize_weights
from refglow.validation.tolerances import (
    DERIVATIVE_AGAINST_COMPLEX_STEP,
    DERIVATIVE_IN_ANOTHER_TYPE,
    GLOW_DERIVATIVE_AGAINST_COMPLEX_STEP,
)
from refglow.variable import Variable

SEED = 7
EVERY = CASES + NON_INJECTIVE
ALL = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name.replace(" ", "-"))
INJECTIVE = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
DIRECTION = pytest.mark.parametrize("forward", [True, False], ids=["forward", "inverse"])
FEW = 250  # parameters that are checked one by one


def made(case: Case, dtype: Any, forward: bool) -> tuple[tfb.Bijector, Any, Any]:
    """(bijector, what goes in, its event_ndims) in one direction."""
    bijector, x, ndims = case.make(SEED, dtype)
    if forward:
        return bijector, x, ndims
    return bijector, bijector.forward(x), bijector.forward_event_ndims(ndims)


def twin_of(case: Case, bijector: tfb.Bijector) -> tfb.Bijector:
    twin, _, _ = case.make(SEED, np.complex128)
    twin.load_state_dict(bijector.state_dict())
    return twin


def size_of(bijector: tfb.Bijector) -> int:
    return sum(v.size for v in bijector.trainable_variables)


def vjp_of(bijector: tfb.Bijector, forward: bool) -> Any:
    return bijector.forward_vjp if forward else bijector.inverse_vjp


def jvp_of(bijector: tfb.Bijector, forward: bool) -> Any:
    return bijector.forward_jvp if forward else bijector.inverse_jvp


def random_like(structure: Any, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return map_structure(structure, lambda v: None if v is None else np.asarray(
        rng.standard_normal(v.shape).astype(v.dtype)), structure)


def template(value: Any) -> Any:
    return map_structure(value, lambda _: 0, value)


def names_and_arrays(pulled: tuple[Any, dict[str, Any]]) -> list[tuple[str, np.ndarray]]:
    return [*iterate(pulled[0]), *pulled[1].items()]


# ---- against complex steps --------------------------------------------------------------------

@ALL
@DIRECTION
def test_vjp_against_complex_step(case: Case, forward: bool) -> None:
    bijector, value, ndims = made(case, np.float64, forward)
    glow = case.bijector_name == "Glow"
    checks.check_vjp_against_complex_step(
        bijector, twin_of(case, bijector), value, ndims, forward=forward,
        directions=None if size_of(bijector) <= FEW else 2,
        limit=GLOW_DERIVATIVE_AGAINST_COMPLEX_STEP if glow else DERIVATIVE_AGAINST_COMPLEX_STEP)


@DIRECTION
def test_vjp_of_a_glow_in_every_parameter(forward: bool) -> None:
    case = next(case for case in CASES if case.name == "Glow all exit")
    bijector, value, ndims = made(case, np.float64, forward)
    assert size_of(bijector) > 900
    checks.check_vjp_against_complex_step(bijector, twin_of(case, bijector), value, ndims,
                                          forward=forward,
                                          limit=GLOW_DERIVATIVE_AGAINST_COMPLEX_STEP)


@DIRECTION
def test_vjp_of_a_larger_glow_in_every_parameter(forward: bool) -> None:
    case = next(case for case in CASES if case.name == "Glow")
    bijector, value, ndims = made(case, np.float64, forward)
    assert size_of(bijector) > 5000
    checks.check_vjp_against_complex_step(bijector, twin_of(case, bijector), value, ndims,
                                          forward=forward, together=25,
                                          limit=GLOW_DERIVATIVE_AGAINST_COMPLEX_STEP)


@pytest.mark.parametrize("together", [1, 7, 25])
def test_one_wrong_number_among_many_parameters_is_seen(together: int,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """Off by 1e-9 of the largest of its array, whichever it is."""
    bijector, value, ndims = next(case for case in CASES if case.name == "RealNVP").make(
        SEED, np.float64)
    twin = next(case for case in CASES if case.name == "RealNVP").make(SEED, np.complex128)[0]
    twin.load_state_dict(bijector.state_dict())
    name = max(bijector.trainable_variables, key=lambda variable: variable.size).name
    right = bijector.forward_vjp
    for index in (0, 3, -1):
        def wrong(*arguments: Any, index: int = index, **options: Any) -> Any:
            results, pullback = right(*arguments, **options)

            def pulled(*bars: Any) -> Any:
                value_bar, parameter_bars = pullback(*bars)
                bar = parameter_bars[name].copy()
                bar.flat[index] += 1e-9 * np.abs(bar).max()
                return value_bar, parameter_bars | {name: bar}
            return results, pulled
        checks.check_vjp_against_complex_step(bijector, twin, value, ndims, forward=True,
                                              together=together)
        monkeypatch.setattr(bijector, "forward_vjp", wrong, raising=False)
        with pytest.raises(AssertionError, match=f"the cotangent of {name}"):
            checks.check_vjp_against_complex_step(bijector, twin, value, ndims, forward=True,
                                                  together=together)
        monkeypatch.undo()


@ALL
@DIRECTION
def test_jvp_against_complex_step(case: Case, forward: bool) -> None:
    bijector, value, ndims = made(case, np.float64, forward)
    glow = case.bijector_name == "Glow"
    checks.check_jvp_against_complex_step(
        bijector, twin_of(case, bijector), value, ndims, forward=forward,
        limit=GLOW_DERIVATIVE_AGAINST_COMPLEX_STEP if glow else DERIVATIVE_AGAINST_COMPLEX_STEP)


@ALL
@DIRECTION
def test_vjp_and_jvp_are_adjoint(case: Case, forward: bool) -> None:
    bijector, value, ndims = made(case, np.float64, forward)
    checks.check_vjp_and_jvp_are_adjoint(bijector, value, ndims, forward=forward)


@INJECTIVE
@DIRECTION
def test_events_larger_than_the_minimum(case: Case, forward: bool) -> None:
    """One more event dimension: one log-det for the whole batch, and its gradient."""
    bijector, value, ndims = made(case, np.float64, forward)
    minimum, _ = bijector._min_event_ndims(forward)
    more = map_structure(minimum, lambda n: n + 1, ndims)
    (_, log_det), _ = vjp_of(bijector, forward)(value, more)
    assert log_det.shape == ()
    checks.check_vjp_against_complex_step(
        bijector, twin_of(case, bijector), value, more, forward=forward, directions=1,
        limit=GLOW_DERIVATIVE_AGAINST_COMPLEX_STEP)
    checks.check_vjp_and_jvp_are_adjoint(bijector, value, more, forward=forward)


@ALL
@DIRECTION
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_the_values_are_those_of_one_pass(case: Case, forward: bool, dtype: type) -> None:
    bijector, value, ndims = made(case, dtype, forward)
    if forward and not bijector.is_injective:
        expected: Any = (bijector.forward(value), None)
    else:
        expected = (bijector.forward_and_log_det if forward
                    else bijector.inverse_and_log_det)(value, ndims)
    assert_same_bits(vjp_of(bijector, forward)(value, ndims)[0], expected)
    with rg.use_backend("spec"):  # in which forward mode always computes
        by_jvp, _ = jvp_of(bijector, forward)(value, random_like(value, 0), None, ndims)
        assert_same_bits(by_jvp, vjp_of(bijector, forward)(value, ndims)[0])


def assert_same_bits(found: Any, expected: Any) -> None:
    for (path, a), (_, b) in zip(iterate(found), iterate(expected), strict=True):
        if b is None:
            assert a is None
        else:
            np.testing.assert_array_equal(a, b, path)
            assert a.dtype == b.dtype


# ---- shapes and number types ------------------------------------------------------------------

@ALL
@DIRECTION
@pytest.mark.parametrize("batch_shape", [(), (2, 1, 3), (0,)])
def test_any_batch_shape(case: Case, forward: bool, batch_shape: tuple[int, ...]) -> None:
    """Input cotangents are those of each example alone; parameters' are the sum."""
    bijector, _, ndims = case.make(SEED, np.float64)
    rng = np.random.default_rng(3)
    full = batch_shape + case.parameter_batch_shape
    x = map_structure(bijector.forward_min_event_ndims,
                      lambda shape: case.draw(rng, full + tuple(shape)), case.event_shape)
    value, ndims = (x, ndims) if forward else (bijector.forward(x),
                                               bijector.forward_event_ndims(ndims))
    vjp = vjp_of(bijector, forward)
    results, pullback = vjp(value, ndims)
    bars = random_like(results, 4)
    value_bar, parameter_bars = pullback(*bars)
    sums = {name: np.zeros_like(bar) for name, bar in parameter_bars.items()}
    for index in np.ndindex(*batch_shape):
        def at(structure: Any, index: Any = index) -> Any:
            return map_structure(structure, lambda v: None if v is None else v[index], structure)
        _, alone = vjp(at(value), ndims)
        alone_bar, alone_bars = alone(*at(bars))
        for (_, a), (_, b) in zip(iterate(at(value_bar)), iterate(alone_bar), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
        for name, bar in alone_bars.items():
            sums[name] += bar
    for (_, a), (_, b) in zip(iterate(value_bar), iterate(value), strict=True):
        assert a.shape == b.shape
    for name, bar in parameter_bars.items():
        np.testing.assert_allclose(bar, sums[name], rtol=1e-11, atol=1e-11, err_msg=name)


@ALL
@DIRECTION
@pytest.mark.parametrize("dtype", [np.float32, np.longdouble])
def test_number_types_are_kept_and_agree_with_float64(case: Case, forward: bool,
                                                      dtype: type) -> None:
    """To some roundings of the less precise type, relative to the largest number of each array."""
    bijector, value, ndims = made(case, dtype, forward)
    wide, _, _ = case.make(SEED, np.float64)
    wide.load_state_dict({name: v.astype(np.float64) if v.dtype == dtype else v
                          for name, v in bijector.state_dict().items()})
    value64 = map_structure(template(value), lambda v: v.astype(np.float64), value)
    results, pullback = vjp_of(bijector, forward)(value, ndims)
    bars = random_like(results, 5)
    _, expected_pullback = vjp_of(wide, forward)(value64, ndims)
    bars64 = map_structure(template(bars), lambda v: None if v is None else v.astype(np.float64),
                           bars)
    limit = DERIVATIVE_IN_ANOTHER_TYPE * float(
        max(np.finfo(dtype).eps, np.finfo(np.float64).eps))
    found = names_and_arrays(pullback(*bars))
    expected = names_and_arrays(expected_pullback(*bars64))
    for (name, a), (_, b) in zip(found, expected, strict=True):
        assert a.dtype == dtype, name
        np.testing.assert_allclose(a.astype(np.float64), b, rtol=0, err_msg=name,
                                   atol=limit * np.abs(b).max())
    _, (value_dot, log_det_dot) = jvp_of(bijector, forward)(value, random_like(value, 6), None,
                                                            ndims)
    assert all(leaf is None or leaf.dtype == dtype
               for _, leaf in iterate([value_dot, log_det_dot]))


EXACT = [case for case in CASES if case.bijector_name in (
    "ScaleMatvecLU", "OneByOneConv", "ActivationNormalization", "SigmoidAffine", "ExpAffine",
    "Squeeze", "RealNVP") or case.name in ("GlowBlock additive", "ExitBijector", "Glow all exit")]


@pytest.mark.parametrize("case", EXACT, ids=lambda case: case.name.replace(" ", "-"))
@DIRECTION
def test_arbitrary_precision(case: Case, forward: bool) -> None:
    """The vjp itself in 30 digits: float64 has all of its own right."""
    bijector, value, ndims = made(case, np.float64, forward)
    exact, _, _ = case.make(SEED, object)
    to_mpf = np.frompyfunc(mpmath.mpf, 1, 1)
    results, pullback = vjp_of(bijector, forward)(value, ndims)
    bars = random_like(results, 8)
    with mpmath.workdps(30):
        exact.load_state_dict({
            name: np.asarray(to_mpf(v), dtype=object) if v.dtype.kind == "f" else v
            for name, v in bijector.state_dict().items()})
        _, exact_pullback = vjp_of(exact, forward)(np.asarray(to_mpf(value), dtype=object), ndims)
        expected = names_and_arrays(exact_pullback(*(
            np.asarray(to_mpf(bar), dtype=object) for bar in bars)))
    for (name, a), (_, b) in zip(names_and_arrays(pullback(*bars)), expected, strict=True):
        assert b.dtype == object
        b = b.astype(np.float64)
        np.testing.assert_allclose(a, b, rtol=0, err_msg=name,
                                   atol=DERIVATIVE_AGAINST_COMPLEX_STEP * np.abs(b).max())


def test_the_pullback_can_be_differentiated_too() -> None:
    """A small Glow in complex numbers: Hessian-vector products, which must be symmetric."""
    case = next(case for case in CASES if case.name == "Glow additive without ActNorm")
    glow, x, _ = case.make(SEED, np.float64)
    twin = twin_of(case, glow)
    rng = np.random.default_rng(0)
    y_bar, fldj_bar = rng.standard_normal((2, 4, 2, 3)), rng.standard_normal(2)
    state = {v.name: v.numpy() for v in glow.trainable_variables}

    def gradient(dot: Any, dots: dict[str, Any]) -> Any:
        """d/dt of the gradient of <w, (y, fldj)> as x and the parameters move."""
        twin.load_state_dict(glow.state_dict() | {
            name: v + 1e-30j * dots[name] for name, v in state.items()})
        _, pullback = twin.forward_vjp(x + 1e-30j * dot)
        x_bar, bars = pullback(y_bar.astype(complex), fldj_bar.astype(complex))
        return x_bar.imag / 1e-30, {name: bar.imag / 1e-30 for name, bar in bars.items()}

    def direction() -> Any:
        return (rng.standard_normal(x.shape),
                {name: rng.standard_normal(v.shape) for name, v in state.items()})

    def inner(a: Any, b: Any) -> np.ndarray:
        return np.concatenate([(a[0] * b[0]).ravel(),
                               *((a[1][name] * b[1][name]).ravel() for name in state)])
    u, v = direction(), direction()
    left, right = inner(u, gradient(*v)), inner(v, gradient(*u))
    assert np.abs(left).sum() > 1
    assert abs(left.sum() - right.sum()) <= 1e-12 * np.abs(left).sum()


# ---- shared parameters ------------------------------------------------------------------------

def test_a_variable_at_two_places_has_the_sum_under_its_first_name() -> None:
    rng = np.random.default_rng(0)
    shared = Variable(rng.standard_normal(3), "v", dtype=np.float64)
    chain = tfb.Chain([tfb.Scale(log_scale=shared), tfb.Tanh(), tfb.Shift(shared)])
    apart = [Variable(shared.numpy(), "v", dtype=np.float64) for _ in range(2)]
    separate = tfb.Chain([tfb.Scale(log_scale=apart[0]), tfb.Tanh(), tfb.Shift(apart[1])])
    x = rng.standard_normal((4, 3))
    bars = rng.standard_normal((4, 3)), rng.standard_normal(4)
    x_bar, found = chain.forward_vjp(x, 1)[1](*bars)
    expected_bar, expected = separate.forward_vjp(x, 1)[1](*bars)
    (name,) = found
    assert name == next(iter(chain.state_dict())) and len(expected) == 2
    np.testing.assert_array_equal(x_bar, expected_bar)
    np.testing.assert_allclose(found[name], sum(expected.values()), rtol=1e-14)
    dot = rng.standard_normal(3)
    zero = np.zeros_like(x)
    _, tangent = chain.forward_jvp(x, zero, {name: dot}, 1)
    _, both = separate.forward_jvp(x, zero, dict.fromkeys(expected, dot), 1)
    for a, b in zip(tangent, both, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_that_all_couplings_share() -> None:
    """One network in two steps: the sum of what two copies of it get."""
    def block(shared: bool, rng: np.random.Generator) -> tfb.GlowBlock:
        one = small_network((2, 3, 2), dtype=np.float64, seed=1)
        return tfb.GlowBlock((2, 3, 4), 2, (lambda shape, **_: one) if shared else small_network,
                             seed=rng, dtype=np.float64)
    together = block(True, np.random.default_rng(0))
    randomize_weights(together, np.random.default_rng(1))
    apart = block(False, np.random.default_rng(0))
    apart.load_state_dict(together.state_dict())
    x = np.random.default_rng(2).standard_normal((2, 2, 3, 4))
    (y, fldj), pullback = together.inverse_vjp(x)
    bars = random_like([y, fldj], 3)
    x_bar, found = pullback(*bars)
    expected_bar, expected = apart.inverse_vjp(x)[1](*bars)
    np.testing.assert_array_equal(x_bar, expected_bar)
    assert len(expected) == len(found) + 6
    for name, bar in found.items():
        other = expected[name.replace("step0", "step1")] if "coupling" in name else 0
        np.testing.assert_allclose(bar, expected[name] + other, rtol=1e-13, atol=1e-13)


# ---- what is given ----------------------------------------------------------------------------

def affine() -> tuple[tfb.Bijector, np.ndarray]:
    rng = np.random.default_rng(0)
    return (tfb.Scale(Variable(rng.standard_normal(4), "scale", dtype=np.float32)),
            rng.standard_normal((3, 4)).astype(np.float32))


def test_numbers_fill_and_none_is_zero() -> None:
    bijector, x = affine()
    _, pullback = bijector.forward_vjp(x, 1)
    filled = pullback(np.full_like(x, 2), np.full(3, 0.5, np.float32))
    for given in (pullback(2, 0.5), pullback(2.0, 0.5)):
        for (name, a), (_, b) in zip(names_and_arrays(given), names_and_arrays(filled),
                                     strict=True):
            np.testing.assert_array_equal(a, b, name)
    for nothing in (pullback(), pullback(None, None), pullback(0, 0)):
        assert not any(a.any() for _, a in names_and_arrays(nothing))
    only = names_and_arrays(pullback(None, 0.5))
    full = names_and_arrays(pullback(np.zeros_like(x), np.full(3, 0.5, np.float32)))
    for (name, a), (_, b) in zip(only, full, strict=True):
        np.testing.assert_array_equal(a, b, name)


@pytest.mark.parametrize(("bars", "error", "said"), [
    ((np.zeros((3, 5), np.float32), None), ValueError, r"value has shape \[3, 5\].*\[3, 4\]"),
    ((np.zeros((), np.float32), None), ValueError, "value has shape"),
    ((np.zeros((3, 4)), None), TypeError, "float32.*float64"),
    ((None, np.zeros((3, 4), np.float32)), ValueError, "log-det has shape"),
    ((None, np.zeros(3)), TypeError, "log-det is float64"),
    (("one", None), TypeError, "must hold numbers"),
])
def test_cotangents_that_do_not_fit(bars: Any, error: type, said: str) -> None:
    bijector, x = affine()
    _, pullback = bijector.forward_vjp(x, 1)
    with pytest.raises(error, match=said):
        pullback(*bars)


def test_cotangents_of_another_structure() -> None:
    split = tfb.Split([2, 2])
    _, pullback = split.forward_vjp(np.ones((3, 4)))
    for wrong in (np.ones((3, 4)), [np.ones((3, 2))], {"a": np.ones((3, 2))}):
        with pytest.raises(ValueError, match="cotangent of the value"):
            pullback(wrong)
    x_bar, _ = pullback([np.ones((3, 2)), None])
    np.testing.assert_array_equal(x_bar, np.repeat([[1.0, 1.0, 0.0, 0.0]], 3, axis=0))


@pytest.mark.parametrize(("x_dot", "dots", "error", "said"), [
    (np.zeros((2, 4), np.float32), None, ValueError, "tangent of the input has shape"),
    (np.zeros((3, 4)), None, TypeError, "tangent of the input is float64"),
    (0.0, {"scales": np.zeros(4, np.float32)}, ValueError, "scales.*not trainable"),
    (0.0, {"scale": np.zeros(3, np.float32)}, ValueError, r"'scale'\] has shape"),
    (0.0, {"scale": np.zeros(4)}, TypeError, "float64"),
])
def test_tangents_that_do_not_fit(x_dot: Any, dots: Any, error: type, said: str) -> None:
    bijector, x = affine()
    with pytest.raises(error, match=said):
        bijector.forward_jvp(x, x_dot, dots, 1)


def test_a_gradient_before_actnorm_is_initialised() -> None:
    glow = tfb.Glow((4, 4, 1), 2, 1, small_network, seed=0, dtype=np.float64)
    x, z = np.random.default_rng(0).random((2, 4, 4, 1)), np.zeros((2, 16))
    state = glow.state_dict()
    for attempt in (lambda: glow.inverse_vjp(x), lambda: glow.forward_vjp(z),
                    lambda: glow.inverse_jvp(x, x), lambda: glow.forward_jvp(z, z)):
        with pytest.raises(ValueError, match=r"block0\.step0\.actnorm.*block1\.step0\.actnorm"):
            attempt()
    assert all(np.array_equal(v, state[name]) for name, v in glow.state_dict().items())
    assert not any(v for name, v in glow.state_dict().items() if name.endswith("initialized"))
    glow.initialize(x)
    glow.inverse_vjp(x)


def test_what_is_not_injective() -> None:
    bijector, x = tfb.AbsoluteValue(), np.array([-2.0, 0.5])
    (_, fldj), pullback = bijector.forward_vjp(x)
    assert fldj is None
    np.testing.assert_array_equal(pullback(1.0)[0], [-1.0, 1.0])
    with pytest.raises(ValueError, match="not injective"):
        pullback(1.0, 1.0)
    for vjp in (bijector.forward_vjp, bijector.inverse_vjp):
        with pytest.raises(NotImplementedError, match="cannot rebuild its input"):
            vjp(np.abs(x), memory="reversible")
    _, pullback = bijector.inverse_vjp(np.abs(x))
    with pytest.raises(ValueError, match="structured"):
        pullback(np.ones(3))


def test_a_network_without_a_derivative_says_so() -> None:
    coupling = tfb.RealNVP(num_masked=1, bijector_fn=lambda x, units: tfb.Shift(x))
    for attempt in (coupling.forward_vjp, coupling.inverse_vjp):
        with pytest.raises(TypeError, match="no method vjp"):
            attempt(np.ones((2, 2)))
    with pytest.raises(TypeError, match="no method jvp"):
        coupling.forward_jvp(np.ones((2, 2)), np.ones((2, 2)))


def test_parameters_are_those_of_the_evaluation() -> None:
    """A later assignment does not change a pullback of the stored mode."""
    dense = Sequential([Dense(2, 3, seed=0, dtype=np.float64), ReLU(),
                        Dense(3, 4, seed=1, dtype=np.float64)])
    for bijector, x in (
            (tfb.Scale(Variable(np.array([2.0, 3.0]), "scale")), np.ones((3, 2))),
            (tfb.RealNVP(2, bijector_fn=_PairOf(dense)), np.ones((3, 4)))):
        _, pullback = bijector.forward_vjp(x, 1)
        before = names_and_arrays(pullback(1.0, 1.0))
        for variable in bijector.trainable_variables:
            variable.assign(variable.numpy() + 1.0)
        for (name, a), (_, b) in zip(names_and_arrays(pullback(1.0, 1.0)), before, strict=True):
            np.testing.assert_array_equal(a, b, name)


class _PairOf:
    """A bijector_fn: an ExpAffine of a network's two halves."""

    def __init__(self, network: Any) -> None:
        self.network = network

    def __call__(self, x: Any, units: int) -> tfb.Bijector:
        return tfb.ExpAffine(*np.split(self.network(x), 2, axis=-1))

    def vjp(self, x: Any, units: int) -> Any:
        output, pullback = self.network.vjp(x)
        return tfb.ExpAffine(*np.split(output, 2, axis=-1)), lambda bars: pullback(
            np.concatenate([bars["raw_scale"], bars["shift"]], axis=-1))


def test_unbroadcast_is_the_adjoint_of_broadcasting() -> None:
    rng = np.random.default_rng(0)
    for shape, full in (((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1, 1), (4, 2, 3)),
                        ((0,), (2, 0)), ((1,), (2, 0)), ((2, 3), (2, 3)), ((2, 3), (1, 3))):
        v, w = rng.standard_normal(shape), rng.standard_normal(full)
        pulled = unbroadcast(w, shape)
        assert pulled.shape == shape
        both = np.broadcast_shapes(shape, full)
        np.testing.assert_allclose((np.broadcast_to(v, both) * np.broadcast_to(w, both)).sum(),
                                   (v * pulled).sum(), rtol=1e-13, atol=1e-13)
