"""How far results move when their data does: the measurement that tolerances are made of."""

import numpy as np
import pytest

from refglow.bijectors.scale_matvec_lu import lu_log_det
from refglow.validation.conditioning import largest_moves, moved_number


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
