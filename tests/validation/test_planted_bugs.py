"""The comparison with TFP's golden results, shown to fail on planted bugs.

Most of these bugs make a bijector that is perfectly consistent with itself: it inverts exactly and
its log-det is that of its Jacobian. Only agreement with another implementation finds them.
"""

from collections.abc import Callable

import numpy as np
import pytest
from plants import (
    interleaved_network_output,
    inverted_permutation,
    log_det_of_actnorm_left_out,
    log_det_sign,
    missing_height_times_width,
    no_epsilon_in_actnorm,
    sample_standard_deviation,
    scale_without_offset,
    shift_before_scale,
    space_to_depth_order,
    swapped_scale_and_shift,
    transposed_weights,
    wrong_half,
)

from refglow.validation.against_golden import golden_cases, golden_rows
from refglow.validation.row import Row

GLOW = "Glow 16x16x3"
Plant = Callable[[pytest.MonkeyPatch], None]


def rows_of(only: str) -> list[Row]:
    return [row for _, rows in golden_rows(golden_cases(only)) for row in rows]


def failures(only: str) -> set[tuple[str, str]]:
    """The properties that fail, as (dtype, property)."""
    return {(row.dtype, row.prop) for row in rows_of(only) if not row.passed}


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
