"""What is rounding, so that no right implementation is accused: how limits are measured."""

from __future__ import annotations

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow.validation.conditioning import DRAWS, MORE_DRAWS
from refglow.validation.diagnosis import diagnose, planted
from refglow.validation.diagnosis.candidates import QUESTIONS
from refglow.validation.diagnosis.closeness import log_det_error
from refglow.validation.diagnosis.measured import Measured
from refglow.validation.diagnosis.observed import ObservedLayer
from refglow.validation.diagnosis.observing import observe
from refglow.validation.diagnosis.segments import Segment, limits
from refglow.validation.dialects import Dialect, DialectGlow
from refglow.validation.implementations.model import architecture_of
from refglow.validation.live import random_glow
from refglow.validation.mutants import PortedGlow
from refglow.validation.random_models import random_architecture
from refglow.validation.tolerances import LOOKED_INTO, agreement


class Draws:
    """A limit that few draws find too small, and how often it was measured by how many."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.limit = Measured(self.measure, lambda: 1.0)

    def measure(self, draws: int) -> float:
        self.asked.append(draws)
        return {DRAWS: 2.0, MORE_DRAWS: 5.0}[draws]


@pytest.mark.parametrize(("errors", "shares", "asked"), [
    ([0.5], [0.5], []),                                     # within the least that it can be
    ([1.5], [0.75], [DRAWS]),
    ([4.0], [0.8], [DRAWS, MORE_DRAWS]),                    # in doubt
    ([4.0, 8.0, 0.5], [0.8, 1.6, 0.1], [DRAWS, MORE_DRAWS]),  # once
    ([1000.0], [500.0], [DRAWS]),                           # a mistake
    ([float("nan"), float("inf")], [float("inf")] * 2, [DRAWS])])
def test_more_is_drawn_only_where_it_decides(errors: list[float], shares: list[float],
                                             asked: list[int]) -> None:
    draws = Draws()
    assert [draws.limit.share(error) for error in errors] == shares
    assert draws.asked == asked


def test_what_a_plain_loop_may_be_off_by_is_no_error_of_a_log_det_and_no_more() -> None:
    elements, true = 4097, np.array([-1024.0, 512.0])
    loop = 4096 * 2.0**-53  # of each sum
    assert log_det_error(true * (1 + loop), true, elements) == 0
    beyond = log_det_error(true * (1 + 3 * loop), true, elements)
    assert beyond == pytest.approx(2 * loop, rel=1e-3, abs=0)  # of the largest


def test_the_rounding_of_what_an_exponential_is_taken_of_is_counted() -> None:
    """exp(r + 2) at r = 20, a sum of 32 equal terms: their moves cancel, r's rounding does not."""
    glow = tfb.Glow((4, 4, 16), 2, 1, seed=0, dtype=np.float64)
    state = glow.state_dict()
    kernel = np.zeros_like(state["block1.exit.conv1.kernel"])
    kernel[1, 1] = 20 / kernel.shape[2]
    glow.load_state_dict(state | {"block1.exit.conv1.kernel": kernel})
    reference = DialectGlow.of(glow)
    x = np.ones((1, 2, 2, 64))
    seen = ObservedLayer("block1.exit", x, np.zeros(1))
    limit, _ = limits(reference, Segment(("block1.exit",), x, seen),
                      {kind: Dialect() for kind in QUESTIONS})
    kappa = limit / (LOOKED_INTO * agreement(np.float64, 4, 1.0).relative)
    assert 25 < kappa < 60


def test_large_weights_are_not_held_against_a_right_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of gain 1, with r up to 22 in an exit: an error of 15 eps, by a limit 40 times as strict."""
    monkeypatch.setattr("refglow.validation.diagnosis.closeness.LOOKED_INTO", 0.1)
    rng = np.random.default_rng([3, 37])
    glow = random_glow(random_architecture(rng), rng, np.float64, 1.0)
    port = PortedGlow(architecture_of(glow), glow.state_dict())
    with np.errstate(all="ignore"):
        assert diagnose(glow, observe(port, *planted._data(glow, rng))).agrees


def test_right_ports_that_overflow_are_compared_without_a_warning(
        monkeypatch: pytest.MonkeyPatch) -> None:
    """As at weights of gain 1: `refglow mutants --right N --gain 1` printed NumPy's warnings."""
    monkeypatch.setattr(planted, "observe", lambda *_: np.exp(np.float64(1e4)))
    monkeypatch.setattr(planted, "diagnose", lambda glow, observed: observed)
    assert [seen for _, seen in planted.without_mistakes(1, 0, 1.0)] == [np.inf, np.inf]
