"""The checks of derivatives, shown to fail on planted wrong gradients."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planting import replace_op

from refglow.bijectors import activation_normalization, bijector, glow_coupling, real_nvp
from refglow.bijectors import scale_matvec_lu as lu
from refglow.bijectors.activation_normalization import ActivationNormalization
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.glow_coupling import SigmoidAffine
from refglow.bijectors.one_by_one_conv import OneByOneConv
from refglow.validation import check_gradients, checks
from refglow.validation.cases import CASES

pytestmark = pytest.mark.usefixtures("by_the_specification")

# By name, because refglow.networks has functions of the modules' names.
dense = importlib.import_module("refglow.networks.dense")
relu = importlib.import_module("refglow.networks.relu")

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def caught(case_name: str, forward: bool, memory: str) -> set[str]:
    """The checks that fail."""
    case = next(case for case in CASES if case.name == case_name)
    model, x, ndims = case.make(7, np.float64)
    twin, _, _ = case.make(7, np.complex128)
    twin.load_state_dict(model.state_dict())
    value, ndims = (x, ndims) if forward else (model.forward(x), model.forward_event_ndims(ndims))
    attempts: dict[str, Callable[[], None]] = {
        "vjp": lambda: checks.check_vjp_against_complex_step(
            model, twin, value, ndims, forward=forward, memory=memory, directions=1),
        "jvp": lambda: checks.check_jvp_against_complex_step(
            model, twin, value, ndims, forward=forward),
        "adjoint": lambda: checks.check_vjp_and_jvp_are_adjoint(
            model, value, ndims, forward=forward, memory=memory)}
    found = set()
    for name, attempt in attempts.items():
        try:
            attempt()
        except AssertionError:
            found.add(name)
    return found


# ---- wrong pullbacks --------------------------------------------------------------------------

def zero_gradient(patch: Patch) -> None:
    patch.setattr(lu, "_packed_bar", lambda below, *_: np.zeros_like(below))


def log_det_dropped(patch: Patch) -> None:
    op = glow_coupling.SIGMOID_AFFINE
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward_vjp=lambda *args: op.forward_vjp(*args[:-1], 0 * args[-1]),
               inverse_vjp=lambda *args: op.inverse_vjp(*args[:-1], 0 * args[-1]))


def log_det_dropped_in_the_matrix(patch: Patch) -> None:
    op = lu.SCALE_MATVEC_LU
    replace_op(patch, lu, "SCALE_MATVEC_LU",
               forward_vjp=lambda *args: op.forward_vjp(*args[:-1], 0 * args[-1]),
               inverse_vjp=lambda *args: op.inverse_vjp(*args[:-1], 0 * args[-1]))


def height_times_width_missing(patch: Patch) -> None:
    spread = bijector.spread_log_det

    def without_the_sum(total_bar: Any, shape: tuple[int, ...], x: Any, *rest: Any) -> Any:
        image = isinstance(x, np.ndarray) and x.ndim > 3 and not shape
        pixels = int(np.prod(x.shape[-3:-1])) if image else 1
        return spread(total_bar, shape, x, *rest) / pixels
    patch.setattr(bijector, "spread_log_det", without_the_sum)


def transposed_factor(patch: Patch) -> None:
    products = lu._sum_of_outer_products
    patch.setattr(lu, "_sum_of_outer_products", lambda *given: np.swapaxes(
        products(*given), -1, -2))


def free_unit_diagonal(patch: Patch) -> None:
    """L's ones get a gradient, which lands on the diagonal of U."""
    packed = lu._packed_bar

    def wrong(below: Any, *rest: Any) -> Any:
        return packed(below, *rest) + np.diag(np.diagonal(below))
    patch.setattr(lu, "_packed_bar", wrong)


def mean_over_the_batch(patch: Patch) -> None:
    total = activation_normalization._over_pixels
    patch.setattr(activation_normalization, "_over_pixels", lambda a: total(a) / a.shape[0])


def mean_over_the_batch_in_a_network(patch: Patch) -> None:
    vjp = dense.dense_vjp

    def mean(x: Any, kernel: Any, y_bar: Any) -> Any:
        x_bar, kernel_bar, bias_bar = vjp(x, kernel, y_bar)
        return x_bar, kernel_bar, bias_bar / x.shape[0]
    patch.setattr(dense, "dense_vjp", mean)


def sigmoid_s_derivative_missing(patch: Patch) -> None:
    def with_q_one(pull: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(x: Any, raw_scale: Any, shift: Any, bar: Any, log_det_bar: Any) -> Any:
            s = glow_coupling.sigmoid(raw_scale + 2)
            return pull(x, raw_scale, shift, bar, log_det_bar, s, np.ones_like(s))
        return wrong
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward_vjp=with_q_one(glow_coupling._affine_forward_vjp),
               inverse_vjp=with_q_one(glow_coupling._affine_inverse_vjp))


def mask_at_the_output_bias(patch: Patch) -> None:
    """y > bias in place of y > 0, the bias being about 0.1. (relu_jvp, which calls it, stays.)"""
    patch.setattr(relu, "relu_jvp", relu.relu_vjp)
    patch.setattr(relu, "relu_vjp", lambda y, y_bar: y_bar * (y > 0.1))


def the_input_s_path_through_the_network_left_out(patch: Patch) -> None:
    split = real_nvp.RealNVP._bijector_and_pull

    def without(self: Any, deciding: Any, *rest: Any) -> Any:
        made, pull = split(self, deciding, *rest)
        return made, lambda *bars: 0 * pull(*bars)
    patch.setattr(real_nvp.RealNVP, "_bijector_and_pull", without)


PULLBACKS: list[tuple[Plant, str]] = [
    (zero_gradient, "ScaleMatvecLU"), (zero_gradient, "GlowBlock"),
    (log_det_dropped, "SigmoidAffine"), (log_det_dropped, "Glow"),
    (log_det_dropped_in_the_matrix, "OneByOneConv"),
    (height_times_width_missing, "ActivationNormalization"),
    (height_times_width_missing, "OneByOneConv"), (height_times_width_missing, "Glow"),
    (transposed_factor, "ScaleMatvecLU"), (transposed_factor, "Glow all exit"),
    (free_unit_diagonal, "ScaleMatvecLU"), (free_unit_diagonal, "GlowBlock"),
    (mean_over_the_batch, "ActivationNormalization"), (mean_over_the_batch, "Glow all exit"),
    (mean_over_the_batch_in_a_network, "RealNVP"),
    (sigmoid_s_derivative_missing, "SigmoidAffine"), (sigmoid_s_derivative_missing, "GlowBlock"),
    (mask_at_the_output_bias, "RealNVP"), (mask_at_the_output_bias, "GlowBlock"),
    (the_input_s_path_through_the_network_left_out, "RealNVP"),
    (the_input_s_path_through_the_network_left_out, "ExitBijector"),
]


@pytest.mark.parametrize(("plant", "case"), PULLBACKS,
                         ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "inverse"])
def test_a_wrong_pullback_is_caught(plant: Plant, case: str, forward: bool,
                                    monkeypatch: Patch) -> None:
    assert not caught(case, forward, "store")
    plant(monkeypatch)
    assert caught(case, forward, "store") == {"vjp", "adjoint"}


# ---- stale activations: only memory="reversible" is wrong -------------------------------------

def stale(kind: type[Bijector]) -> Plant:
    """The part is differentiated where its result is, not at the input rebuilt from it."""
    def plant(patch: Patch) -> None:
        def at_the_result(self: Any, forward: bool, y: Any, y_bar: Any, log_det_bar: Any,
                          event_ndims: Any, bars: Any, **kwargs: Any) -> Any:
            x = (self._inverse if forward else self._forward)(y, **kwargs)
            _, pull = self._event_vjp(forward, y, event_ndims, **kwargs)
            return x, pull(y_bar, log_det_bar, bars)
        patch.setattr(kind, "_pull_back_from_result", at_the_result)
    return plant


def not_rebuilt(kind: type[Bijector]) -> Plant:
    """The part's result is passed on as if it were its input."""
    def plant(patch: Patch) -> None:
        right = kind._pull_back_from_result

        def passed_on(self: Any, forward: bool, y: Any, *args: Any, **kwargs: Any) -> Any:
            _, x_bar = right(self, forward, y, *args, **kwargs)
            return y, x_bar
        patch.setattr(kind, "_pull_back_from_result", passed_on)
    return plant


@pytest.mark.parametrize("plant", [stale, not_rebuilt])
@pytest.mark.parametrize("kind", [SigmoidAffine, ActivationNormalization, OneByOneConv])
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "inverse"])
@pytest.mark.filterwarnings("ignore:.*rebuilt its input:RuntimeWarning")  # it is noticed there too
def test_a_stale_activation_is_caught(plant: Callable[..., Plant], kind: type[Bijector],
                                      forward: bool, monkeypatch: Patch) -> None:
    assert not caught("GlowBlock", forward, "reversible")
    plant(kind)(monkeypatch)
    assert not caught("GlowBlock", forward, "store")
    assert caught("GlowBlock", forward, "reversible") == {"vjp", "adjoint"}


# ---- wrong tangents ---------------------------------------------------------------------------

def log_det_s_tangent_dropped(patch: Patch) -> None:
    patch.setattr(lu, "_log_det_dot", lambda factors, dot: np.zeros(factors.shape[:-2]))


def unit_diagonal_moves(patch: Patch) -> None:
    patch.setattr(lu, "_lower_dot", np.tril)


@pytest.mark.parametrize("plant", [log_det_s_tangent_dropped, unit_diagonal_moves])
@pytest.mark.parametrize("case", ["ScaleMatvecLU", "OneByOneConv", "GlowBlock"])
@pytest.mark.parametrize("forward", [True, False], ids=["forward", "inverse"])
def test_a_wrong_tangent_is_caught(plant: Plant, case: str, forward: bool,
                                   monkeypatch: Patch) -> None:
    plant(monkeypatch)
    assert caught(case, forward, "store") == {"jvp", "adjoint"}


def test_what_is_wrong_in_both_modes_only_complex_steps_find(monkeypatch: Patch) -> None:
    """J^T of a wrong J is adjoint to it; so that check alone is not enough."""
    sigmoid_s_derivative_missing(monkeypatch)

    def with_q_one(push: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(x: Any, raw_scale: Any, *rest: Any) -> Any:
            s = glow_coupling.sigmoid(raw_scale + 2)
            return push(x, *rest[1:], s, np.ones_like(s))
        return wrong
    replace_op(monkeypatch, glow_coupling, "SIGMOID_AFFINE",
               forward_jvp=with_q_one(glow_coupling._affine_forward_jvp),
               inverse_jvp=with_q_one(glow_coupling._affine_inverse_jvp))
    for forward in (True, False):
        assert caught("GlowBlock", forward, "store") == {"vjp", "jvp"}


# ---- the same bugs, found by check_gradients in the ops themselves -----------------------------

RNG = np.random.default_rng(0)
PERMUTATION = np.array([2, 0, 3, 1])
MATRIX = {"x": RNG.standard_normal((3, 2, 4)),
          "lower_upper": np.eye(4) + 0.4 * RNG.standard_normal((4, 4))}
AFFINE = {name: RNG.standard_normal((3, 2, 4)) for name in ("x", "raw_scale", "shift")}
ACTNORM = {"z": RNG.standard_normal((3, 2, 4)), "shift": RNG.standard_normal(4),
           "log_scale": RNG.standard_normal(4) / 2}


def failing_arrays(module: Any, op: str, tree: dict[str, Any], *discrete: Any) -> set[str]:
    """The arrays whose gradient of the op's forward function check_gradients finds wrong."""
    functions = getattr(module, op)

    def pull(t: dict[str, Any]) -> Any:
        results = functions.forward(*t.values(), *discrete)
        return results, lambda bars: dict(zip(t, functions.forward_vjp(
            *t.values(), *discrete, *bars), strict=True))
    report = check_gradients(lambda t: functions.forward(*t.values(), *discrete), pull, tree)
    assert report.method == "complex step"
    return {row.array for row in report.rows if not row.passed}


@pytest.mark.parametrize(("plant", "op", "wrong"), [
    (zero_gradient, (lu, "SCALE_MATVEC_LU", MATRIX, PERMUTATION), {"lower_upper"}),
    (log_det_dropped_in_the_matrix, (lu, "SCALE_MATVEC_LU", MATRIX, PERMUTATION),
     {"lower_upper"}),
    (transposed_factor, (lu, "SCALE_MATVEC_LU", MATRIX, PERMUTATION), {"lower_upper"}),
    (free_unit_diagonal, (lu, "SCALE_MATVEC_LU", MATRIX, PERMUTATION), {"lower_upper"}),
    (log_det_dropped, (glow_coupling, "SIGMOID_AFFINE", AFFINE), {"raw_scale"}),
    (sigmoid_s_derivative_missing, (glow_coupling, "SIGMOID_AFFINE", AFFINE), {"raw_scale"}),
    (mean_over_the_batch, (activation_normalization, "ACTIVATION_NORMALIZATION", ACTNORM),
     {"shift", "log_scale"}),
], ids=lambda value: getattr(value, "__name__", ""))
def test_check_gradients_names_the_array(plant: Plant, op: Any, wrong: set[str],
                                         monkeypatch: Patch) -> None:
    assert not failing_arrays(*op)
    plant(monkeypatch)
    assert failing_arrays(*op) == wrong
