"""How far results move when their data does: the measurement that tolerances are made of."""

import numpy as np
import pytest

from refglow.bijectors.scale_matvec_lu import lu_log_det
from refglow.validation.conditioning import UNBOUNDED, largest_moves, moved_number


@pytest.mark.parametrize("seed", range(100))
def test_moves_that_cancel_in_one_draw_do_not_in_all(seed):
    """log|det W| of four channels moves by up to the sum of four moves of log|U_ii|."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(4, 4))
    factors[0, 0] = 1.01 / np.prod(np.diag(factors)[1:])
    log_det = lu_log_det(factors)

    [kappa] = largest_moves(
        [log_det], lambda: [lu_log_det(moved_number("lower_upper", factors, rng))])

    largest = 4 / abs(log_det)  # where all moves are up, or all down
    assert 0.05 * largest <= kappa <= 1.6 * largest


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_a_move_makes_infinite_or_nan_has_no_bounded_condition(wrong):
    """It was called perfectly conditioned, and held to the narrowest of tolerances."""
    base, draws = [np.array([1.0, 2.0]), np.array([3.0]), np.zeros(2)], iter(range(3))

    def moved():
        bad = wrong if next(draws) == 1 else 2.0
        return [np.array([1.0, bad]), np.array([3.0 + 3e-6]), np.full(2, 1e-9)]
    unbounded, moves, zeros = largest_moves(base, moved)
    assert unbounded == UNBOUNDED and moves == pytest.approx(10.0) and zeros == 1.0
    assert largest_moves([np.full(2, wrong)], lambda: [np.full(2, wrong)]) == [1.0]
