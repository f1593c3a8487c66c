"""Each checker, shown to reject a bug that it is there to find."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from planting import replace_op

from refglow import bijectors as tfb
from refglow.backend import use_backend
from refglow.bijectors import glow_coupling
from refglow.validation import checks
from refglow.validation.cases import CASES
from refglow.validation.compare import difference
from refglow.validation.tolerances import agreement, rounding_layers

TOLERANCE = agreement(np.float64, 1, 10.0)


class Faulty(tfb.Bijector):
    """y = 3 x on vectors, with one thing wrong."""

    def __init__(self, fault: str) -> None:
        super().__init__(forward_min_event_ndims=1)
        self.fault = fault

    def _forward_and_log_det(self, x: Any) -> Any:
        fldj = np.full(x.shape[:-1], x.shape[-1] * np.log(3.0))
        if self.fault == "per element":
            fldj = fldj / x.shape[-1]
        if self.fault == "leak between examples":
            fldj = fldj + x.reshape(-1)[0].real
        if self.fault == "no batch":
            return 3 * x, np.full((*x.shape[:-1], 1), fldj.flat[0])
        if self.fault == "sheared":  # not what the log-det is of
            return 3 * x + np.roll(x, 1, axis=-1), fldj
        return 3 * x, fldj

    def _inverse_and_log_det(self, y: Any) -> Any:
        ildj = np.full(y.shape[:-1], -y.shape[-1] * np.log(3.0))
        if self.fault == "sign":
            ildj = -ildj
        return y / (3 + 1e-9 if self.fault == "inverse" else 3), ildj


def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 5))


CHECKS: dict[str, Callable[[tfb.Bijector], None]] = {
    "round trip": lambda b: checks.check_round_trip(b, vectors(), TOLERANCE),
    "opposite": lambda b: checks.check_log_dets_are_opposite(b, vectors(), 1, TOLERANCE),
    "dense": lambda b: checks.check_log_det_against_dense_jacobian(b, vectors(), 1),
    "per example": lambda b: checks.check_log_det_is_per_example(b, vectors(), 1),
}


@pytest.mark.parametrize("check", CHECKS)
def test_a_correct_bijector_passes(check):
    CHECKS[check](Faulty("none"))


@pytest.mark.parametrize(("check", "fault"), [
    ("round trip", "inverse"), ("round trip", "sheared"), ("opposite", "sign"),
    ("opposite", "per element"), ("dense", "per element"), ("dense", "sign"), ("dense", "sheared"),
    ("per example", "leak between examples"), ("per example", "no batch"),
    ("dense", "leak between examples")])
def test_a_fault_is_rejected(check, fault):
    with pytest.raises(AssertionError):
        CHECKS[check](Faulty(fault))


@pytest.mark.parametrize("wrong", [
    lambda x, r, t: (x * glow_coupling.sigmoid(r + 2) + t, glow_coupling.sigmoid(r + 2)),
    lambda x, r, t: (x * glow_coupling.sigmoid(r + 2) + t, -glow_coupling.log_sigmoid(r + 2)),
    lambda x, r, t: (x * glow_coupling.sigmoid(r) + t, glow_coupling.log_sigmoid(r + 2)),
    lambda x, r, t: (x * glow_coupling.sigmoid(r + 2) + t, glow_coupling.log_sigmoid(r + 2) * 0)])
def test_a_wrong_log_det_inside_a_whole_glow_is_rejected(wrong, monkeypatch):
    (case,) = (case for case in CASES if case.name == "Glow")
    glow, z, _ = case.make(0, np.float64)
    checks.check_log_det_against_dense_jacobian(glow, z, 1)
    replace_op(monkeypatch, glow_coupling, "SIGMOID_AFFINE", forward=wrong,
               inverse=lambda y, r, t: ((y - t) / glow_coupling.sigmoid(r + 2),
                                        -glow_coupling.log_sigmoid(r + 2)))
    with use_backend("spec"), pytest.raises(AssertionError):  # where the bug is
        checks.check_log_det_against_dense_jacobian(glow, z, 1)


@pytest.mark.parametrize(("actual", "expected", "relative"), [
    ([1.0, 2.0], [1.0, 2.0], 0.0), ([1.0, 2.5], [1.0, 2.0], 0.25), ([0.0], [0.0], 0.0),
    ([np.nan], [1.0], np.inf), ([1.0], [np.nan], np.inf), ([np.inf], [1.0], np.inf),
    ([np.nan], [np.nan], 0.0), ([np.inf, 1.0], [np.inf, 2.0], 0.5), ([-np.inf], [np.inf], np.inf),
    ([1e-30], [0.0], np.inf), ([], [], 0.0)])
def test_difference(actual, expected, relative):
    assert difference(np.array(actual), np.array(expected)).relative == relative


def test_difference_counts_ulps_of_the_asked_type():
    one = np.float32(1)
    above = np.nextafter(one, np.float32(2))
    assert difference(np.array([above]), np.array([one])).ulps == 1
    assert difference(np.array([above], np.float64), np.array([1.0]), np.float32).ulps == 1


def test_difference_refuses_shapes_that_broadcast():
    with pytest.raises(ValueError, match="shape"):
        difference(np.ones((2, 1)), np.ones(2))


def test_rounding_layers_counts_what_rounds():
    glow = tfb.Glow((4, 4, 2), 1, 3, use_actnorm=False, seed=0)
    steps = 3 * (1 + 1 + 3)  # 1x1 convolution, coupling, three convolutions of its network
    assert rounding_layers(glow) == steps
    assert rounding_layers(tfb.Glow((4, 4, 2), 1, 3, seed=0)) == steps + 3  # ActNorms
    assert rounding_layers(tfb.Identity()) == 1
