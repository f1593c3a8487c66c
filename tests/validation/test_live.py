"""The live comparison with TFP: its numbers over many architectures, and that it finds bugs."""

from statistics import median

import numpy as np
import pytest

pytest.importorskip("tensorflow_probability", reason="TensorFlow Probability is not installed")
pytestmark = pytest.mark.tfp

from planting import replace_op  # noqa: E402

from refglow.bijectors import glow_coupling, real_nvp  # noqa: E402
from refglow.elementary import log_sigmoid, sigmoid  # noqa: E402
from refglow.validation import live  # noqa: E402
from refglow.validation.table import ratios_pass  # noqa: E402


@pytest.mark.slow
def test_float32_errors_are_no_larger_than_those_of_tfp_over_50_architectures():
    ratios: dict[str, list[float]] = {}
    for found in live.error_ratios(50, seed=1):
        for prop, ratio in found.items():
            ratios.setdefault(prop, []).append(ratio)
    for prop, values in ratios.items():
        print(f"{prop}: median {median(values):.3f}, largest {max(values):.3f}")
        assert len(values) == 50
        assert median(values) <= 1
        assert max(values) <= 2


def test_error_ratios_tell_the_better_from_the_worse():
    rng = np.random.default_rng(0)
    truth = {"forward": rng.standard_normal(1000)}
    noise = 1e-5 * rng.standard_normal(1000)
    near, far = ({"forward": (truth["forward"] + factor * noise).astype(np.float32)}
                 for factor in (1, 3))
    assert live._error_ratios(truth, near, far)["forward"] == pytest.approx(1 / 3, rel=0.1)
    assert live._error_ratios(truth, far, near)["forward"] == pytest.approx(3, rel=0.1)
    assert not ratios_pass([3.0] * 50)
    assert not ratios_pass([0.5] * 49 + [2.5])


def failures() -> set[tuple[str, str]]:
    """(kind of layer or whole, dtype) of the rows that fail over a few configurations."""
    rows = [row for found in live.live_configurations(3, seed=5)
            for row in found.whole + found.layers]
    return {(row.bijector, row.dtype) for row in rows if not row.passed}


def test_a_planted_bug_is_found_in_its_layer_and_in_the_whole(monkeypatch):
    replace_op(monkeypatch, glow_coupling, "SIGMOID_AFFINE",
               inverse=lambda y, r, t: ((y - t) / sigmoid(r + 2.001), -log_sigmoid(r + 2.001)),
               forward=lambda x, r, t: (x * sigmoid(r + 2.001) + t, log_sigmoid(r + 2.001)))
    found = failures()
    assert {("RealNVP", "float64"), ("RealNVP", "float32"), ("Glow (whole)", "float64"),
            ("Glow (whole)", "float32")} <= found
    assert {kind for kind, _ in found} == {"RealNVP", "Glow (whole)"}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the wrong map's latents overflow in TFP's
def test_a_bug_that_is_consistent_with_itself_is_found(monkeypatch):
    split, join = real_nvp.real_nvp_split, real_nvp.real_nvp_join
    monkeypatch.setattr(real_nvp, "real_nvp_split", lambda x, n: split(x, -n))
    monkeypatch.setattr(real_nvp, "real_nvp_join", lambda a, b, n: join(a, b, -n))
    assert ("RealNVP", "float64") in failures()
