"""The comparison with TFP's golden results, shown to fail on planted bugs.

Most of these bugs make a bijector that is perfectly consistent with itself: it inverts exactly and
its log-det is that of its Jacobian. Only agreement with another implementation finds them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planting import replace_op

from refglow.bijectors import (
    activation_normalization,
    expand,
    glow_coupling,
    log_det,
    network_coupling,
    real_nvp,
)
from refglow.bijectors import scale_matvec_lu as lu
from refglow.bijectors.chain import Chain
from refglow.bijectors.reshape import Reshape
from refglow.bijectors.transpose import Transpose
from refglow.elementary import log_sigmoid, sigmoid
from refglow.validation.against_golden import golden_cases, golden_rows
from refglow.validation.row import Row

GLOW = "Glow 16x16x3"
Plant = Callable[[pytest.MonkeyPatch], None]


def rows_of(only: str) -> list[Row]:
    return [row for _, rows in golden_rows(golden_cases(only)) for row in rows]


def failures(only: str) -> set[tuple[str, str]]:
    """The properties that fail, as (dtype, property)."""
    return {(row.dtype, row.prop) for row in rows_of(only) if not row.passed}


def wrong_half(patch: pytest.MonkeyPatch) -> None:
    split, join = real_nvp.real_nvp_split, real_nvp.real_nvp_join
    patch.setattr(real_nvp, "real_nvp_split", lambda x, n: split(x, -n))
    patch.setattr(real_nvp, "real_nvp_join", lambda a, b, n: join(a, b, -n))


def shift_before_scale(patch: pytest.MonkeyPatch) -> None:
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward=lambda x, r, t: ((x + t) * sigmoid(r + 2), log_sigmoid(r + 2)),
               inverse=lambda y, r, t: (y / sigmoid(r + 2) - t, -log_sigmoid(r + 2)))


def missing_height_times_width(patch: pytest.MonkeyPatch) -> None:
    def sum_without_multiplying(values: Any, shape: Any, extra: int) -> Any:
        values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
        batch = shape[:len(shape) - extra]
        summed = values.sum(axis=tuple(range(len(batch), len(shape))))
        return np.array(np.broadcast_to(summed, batch))
    patch.setattr(log_det, "_sum_over_last", sum_without_multiplying)


def transposed_weights(patch: pytest.MonkeyPatch) -> None:
    reconstruct = lu.lu_reconstruct
    patch.setattr(lu, "lu_reconstruct", lambda f, p: np.swapaxes(reconstruct(f, p), -1, -2))
    replace_op(patch, lu, "SCALE_MATVEC_LU", inverse=lambda y, f, p: (
        np.linalg.solve(np.swapaxes(reconstruct(f, p), -1, -2), y[..., None])[..., 0],
        -lu.lu_log_det(f)))


def inverted_permutation(patch: pytest.MonkeyPatch) -> None:
    forward, inverse = lu.scale_matvec_lu_forward, lu.scale_matvec_lu_inverse
    replace_op(patch, lu, "SCALE_MATVEC_LU",
               forward=lambda x, f, p: forward(x, f, np.argsort(p)),
               inverse=lambda y, f, p: inverse(y, f, np.argsort(p)))


def interleaved_network_output(patch: pytest.MonkeyPatch) -> None:
    as_array = network_coupling.as_array

    def interleaved(value: Any, *rest: Any) -> Any:
        array = as_array(value, *rest)
        return np.concatenate([array[..., 0::2], array[..., 1::2]], axis=-1)
    patch.setattr(network_coupling, "as_array", interleaved)


def swapped_scale_and_shift(patch: pytest.MonkeyPatch) -> None:
    as_array = network_coupling.as_array

    def swapped(value: Any, *rest: Any) -> Any:
        array = as_array(value, *rest)
        return np.roll(array, array.shape[-1] // 2, axis=-1)
    patch.setattr(network_coupling, "as_array", swapped)


def scale_without_offset(patch: pytest.MonkeyPatch) -> None:
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward=lambda x, r, t: (x * sigmoid(r) + t, log_sigmoid(r)),
               inverse=lambda y, r, t: ((y - t) / sigmoid(r), -log_sigmoid(r)))


def space_to_depth_order(patch: pytest.MonkeyPatch) -> None:
    """Channels (a b c) in place of (c a b)."""
    def chain(parts: list[Any]) -> Chain:
        h, w, c, a, b = parts[2].parameters["event_shape_out"]
        return Chain([parts[0], Transpose((0, 2, 1, 3, 4)),
                      Reshape((h, w, a, b, c), (h, w, c * a * b))])
    patch.setattr(expand, "Chain", chain)


def sample_standard_deviation(patch: pytest.MonkeyPatch) -> None:
    def statistics(batch: Any, epsilon: float) -> Any:
        axes = tuple(range(batch.ndim - 1))
        return batch.mean(axis=axes), batch.std(axis=axes, ddof=1) + epsilon
    patch.setattr(activation_normalization, "channel_statistics", statistics)


def no_epsilon_in_actnorm(patch: pytest.MonkeyPatch) -> None:
    def statistics(batch: Any, epsilon: float) -> Any:
        axes = tuple(range(batch.ndim - 1))
        return batch.mean(axis=axes), batch.std(axis=axes)
    patch.setattr(activation_normalization, "channel_statistics", statistics)


def log_det_sign(patch: pytest.MonkeyPatch) -> None:
    log_det_of = lu.lu_log_det
    patch.setattr(lu, "lu_log_det", lambda f: -log_det_of(f))


def log_det_of_actnorm_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(activation_normalization, "_total", lambda v: np.zeros((), np.float64))


PLANTED = [
    (wrong_half, GLOW), (wrong_half, "GlowBlock"), (wrong_half, "RealNVP"),
    (shift_before_scale, GLOW), (shift_before_scale, "SigmoidAffine"),
    (missing_height_times_width, GLOW), (missing_height_times_width, "OneByOneConv"),
    (missing_height_times_width, "ActivationNormalization"),
    (transposed_weights, GLOW), (transposed_weights, "ScaleMatvecLU"),
    (inverted_permutation, GLOW), (inverted_permutation, "ScaleMatvecLU"),
    (interleaved_network_output, GLOW), (interleaved_network_output, "ExitBijector"),
    (swapped_scale_and_shift, GLOW), (scale_without_offset, GLOW),
    (space_to_depth_order, GLOW), (space_to_depth_order, "Expand"),
    (space_to_depth_order, "Squeeze"),
    (sample_standard_deviation, "ActivationNormalization first"),
    (no_epsilon_in_actnorm, "ActivationNormalization first"),
    (log_det_sign, GLOW), (log_det_of_actnorm_left_out, GLOW),
]


@pytest.mark.parametrize(("plant", "only"), PLANTED,
                         ids=lambda value: getattr(value, "__name__", value))
def test_planted_bug_is_rejected(plant: Plant, only: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not failures(only)
    plant(monkeypatch)
    found = failures(only)
    assert {dtype for dtype, _ in found} == {"float32", "float64"}, (
        f"{plant.__name__} went unnoticed in {only}")


@pytest.mark.parametrize("plant", [wrong_half, transposed_weights, inverted_permutation,
                                   interleaved_network_output, swapped_scale_and_shift,
                                   space_to_depth_order])
def test_bugs_that_only_comparison_finds_change_the_values(
        plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only a log-det: the images and latents themselves are wrong."""
    plant(monkeypatch)
    assert {("float64", "forward"), ("float64", "inverse")} <= failures(GLOW)


def test_planted_bugs_in_a_glow_at_its_zero_start_would_go_unnoticed(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """Why every weight in these tests is random: at the zero start the network says nothing."""
    from refglow.bijectors import Glow
    glow = Glow((4, 4, 2), 2, 1, seed=0, use_actnorm=False, dtype=np.float64)
    x = np.random.default_rng(0).standard_normal((2, 32))
    before = glow.forward(x)
    interleaved_network_output(monkeypatch)
    np.testing.assert_array_equal(glow.forward(x), before)
