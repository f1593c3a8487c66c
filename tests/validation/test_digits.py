"""Digits: the Gaussian has its best chance and its right bits; both trainings are compared."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from refglow.training.dequantize import bits_per_dim, dequantize
from refglow.validation import digits
from refglow.validation.digits import (
    Comparison,
    Score,
    best_gaussian,
    compare,
    fit_gaussian,
    main,
)
from refglow.validation.peers import TfpTraining

SMALL = replace(digits.SETTINGS, num_glow_blocks=2, num_steps_per_block=1, num_hidden=8,
                warm_up_steps=10)
BITS = 3
RANDOM = np.random.default_rng(0).integers(0, 2**BITS, (40, 1, 3, 1))


def noisy(levels, count):
    """`count` draws of the noise: [count N, ...]."""
    rng = np.random.default_rng(1)
    return np.concatenate([dequantize(levels, BITS, BITS, rng, np.float64) for _ in range(count)])


# ---- the Gaussian -------------------------------------------------------------------------------

def test_uniform_levels_cost_the_entropy_of_a_gaussian_of_variance_one_twelfth():
    """All pairs of levels: with noise, uniform on a square, which has variance 1/12 each way."""
    pairs = np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1).reshape(64, 1, 2, 1)
    fit = fit_gaussian(pairs, BITS, 0.0)
    np.testing.assert_allclose(fit.mean, 0, atol=1e-15)
    np.testing.assert_allclose(fit.covariance, np.eye(2) / 12, atol=1e-15)
    cells = (pairs + 0.5) / 8 - 0.5
    bits = bits_per_dim(fit.expected_log_prob(cells, 1 / 64 / 12), 2, BITS)
    assert bits.mean() == pytest.approx(BITS + 0.5 * np.log2(2 * np.pi * np.e / 12), rel=1e-13)


def test_log_prob_is_scipy_s():
    fit = fit_gaussian(RANDOM, BITS, 0.2)
    x = noisy(RANDOM, 1)
    expected = scipy.stats.multivariate_normal(fit.mean, fit.covariance).logpdf(x.reshape(-1, 3))
    np.testing.assert_allclose(fit.log_prob(x), expected, rtol=1e-12)


def test_the_fit_is_that_to_many_draws_of_the_noise():
    fit, x = fit_gaussian(RANDOM, BITS, 0.0), noisy(RANDOM, 5000).reshape(-1, 3)
    np.testing.assert_allclose(fit.mean, x.mean(axis=0), atol=3e-4)
    np.testing.assert_allclose(fit.covariance, np.cov(x.T, bias=True), atol=1e-4)


def test_the_expectation_over_noise_is_exact():
    """Two points one standard deviation to either side have the moments of the noise."""
    fit = fit_gaussian(RANDOM, BITS, 0.1)
    cells = (RANDOM + 0.5) / 8 - 0.5
    deviation = 0.037
    signs = np.stack(np.meshgrid(*[[-1, 1]] * 3), axis=-1).reshape(8, 1, 3, 1)
    mean = np.mean([fit.log_prob(cells + deviation * sign) for sign in signs], axis=0)
    np.testing.assert_allclose(fit.expected_log_prob(cells, deviation**2), mean, rtol=1e-12)


def test_no_other_gaussian_makes_the_training_images_more_likely():
    fit, w = fit_gaussian(RANDOM, BITS, 0.0), 1 / 64 / 12
    cells = (RANDOM + 0.5) / 8 - 0.5
    best = fit.expected_log_prob(cells, w).mean()
    rng = np.random.default_rng(2)
    for _ in range(20):
        shift, stretch = rng.standard_normal(3), np.eye(3) + 0.02 * rng.standard_normal((3, 3))
        other = replace(fit, mean=fit.mean + 0.01 * shift,
                        covariance=stretch @ fit.covariance @ stretch.T)
        assert other.expected_log_prob(cells, w).mean() < best


def test_shrinkage_is_chosen_by_what_is_left_out():
    rng = np.random.default_rng(3)
    few = rng.integers(0, 8, (25, 4, 4, 1))  # independent pixels, too few images for a covariance
    assert best_gaussian(few, BITS).shrinkage == max(digits.SHRINKAGES)
    common = rng.integers(0, 7, (4000, 1, 1, 1))
    correlated = common + rng.integers(0, 2, (4000, 2, 2, 1))
    assert best_gaussian(correlated, BITS).shrinkage == 0


# ---- the trainings ------------------------------------------------------------------------------

@pytest.mark.tfp
def test_both_start_at_equal_bits_and_stay_together(tf):
    start = compare(SMALL, 0)
    assert len(start.refglow.bits) == 599
    np.testing.assert_allclose(start.refglow.bits, start.tfp.bits, rtol=1e-12)
    steps = []
    end = compare(SMALL, 12, lambda: steps.append(1))
    assert len(steps) == 12 and end.refglow.steps == end.tfp.steps == 12
    assert end.refglow.bits_per_dim < start.refglow.bits_per_dim - 0.5
    assert end.loss_difference < 1e-10
    assert end.findings()["the same as TFP"][0]
    np.testing.assert_allclose(end.refglow.bits, end.tfp.bits, rtol=1e-9)
    assert np.array_equal(start.gaussian.bits, end.gaussian.bits)  # the noise is the same


@pytest.mark.tfp
def test_a_peer_that_trains_otherwise_is_noticed(tf, monkeypatch):
    """Without the warm-up."""
    original = TfpTraining.step
    monkeypatch.setattr(TfpTraining, "step",
                        lambda self, images, rate: original(self, images))
    found = compare(SMALL, 8)
    assert found.loss_difference > 0.02
    assert not found.findings()["the same as TFP"][0]


@pytest.mark.tfp
@pytest.mark.slow
def test_a_hundred_steps_stay_within_the_limit(tf):
    found = compare(digits.SETTINGS, 100)
    assert found.findings()["the same as TFP"][0]
    assert found.loss_difference < 1e-6


@pytest.mark.parametrize("change", [dict(optimizer="adamax"), dict(clip_norm=1.0),
                                    dict(average_decay=0.9)])
def test_settings_that_tfp_s_side_does_not_know_are_refused(change):
    with pytest.raises(ValueError, match=f"{next(iter(change))} = "):
        compare(replace(SMALL, **change), 1)


# ---- the verdict --------------------------------------------------------------------------------

def comparison(gain, apart):
    """refglow `gain` below the Gaussian and TFP `apart` from refglow, in bits/dim."""
    bits = 2.5 + 0.1 * np.random.default_rng(0).standard_normal(100)
    noise = 0.05 * np.random.default_rng(1).standard_normal(100)
    noise -= noise.mean()
    return Comparison(Score("Gaussian", None, bits + gain + noise, 0.1),
                      Score("refglow", 5, bits, 2.0), Score("TFP", 5, bits - apart, 1.0), 1e-3)


@pytest.mark.parametrize(("gain", "apart", "expected"), [
    (0.3, 0.001, [True, True]), (0.11, 0.001, [False, True]), (-0.3, 0.001, [False, True]),
    (0.3, 0.03, [True, False]), (0.3, -0.03, [True, False]), (np.nan, np.nan, [False, False])])
def test_findings(gain, apart, expected):
    assert [holds for holds, _ in comparison(gain, apart).findings().values()] == expected


def test_standard_error():
    score = comparison(0.3, 0).gaussian
    assert score.standard_error == pytest.approx(scipy.stats.sem(score.bits), rel=1e-12)


@pytest.mark.parametrize(("gain", "code"), [(0.3, 0), (0.01, 1)])
def test_the_command_prints_and_writes_and_says_by_its_exit_code(monkeypatch, capsys, tmp_path,
                                                                 gain, code):
    asked = []

    def pretended(settings, steps, on_step):
        asked.append((settings.seed, steps))
        for _ in range(steps):
            on_step()
        return comparison(gain, 0.001)
    monkeypatch.setattr(digits, "compare", pretended)
    file = tmp_path / "found.json"
    monkeypatch.setattr("sys.argv", ["digits", "--json", str(file), "--steps", "7", "--seed", "3"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == code and asked == [(3, 7)]
    printed = capsys.readouterr().out
    assert ("FAIL" in printed) == bool(code) and "Gaussian" in printed and "refglow" in printed
    report = json.loads(file.read_text())
    assert report["settings"]["seed"] == 3
    assert [score["model"] for score in report["scores"]] == ["Gaussian", "refglow", "TFP"]
    assert report["scores"][0]["test_bits_per_dim"] == pytest.approx(
        report["scores"][1]["test_bits_per_dim"] + gain)
    assert [finding["holds"] for finding in report["findings"].values()] == [not code, True]


@pytest.mark.parametrize("wrong", [["--steps", "0"], ["--seed", "-1"], ["--steps", "many"]])
def test_bad_arguments_are_refused(monkeypatch, capsys, wrong):
    monkeypatch.setattr("sys.argv", ["digits", *wrong])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and wrong[0] in capsys.readouterr().err
