"""Plots of what cannot be drawn: an error says what is wrong with it, and no figure is opened."""

import numpy as np
import pytest
from matplotlib import pyplot as plt
from plotted import CEILINGS, colour_model, measured, model, report

import refglow as rg
from refglow.distributions import Normal, Sample

BAD = [
    (lambda: rg.plot.schematic("glow"), TypeError, "draws a Glow of refglow; got str"),
    (lambda: rg.plot.latents(3, 3), TypeError, "got int"),
    (lambda: rg.plot.latents(colour_model(), np.zeros((9, 8, 4, 3))), ValueError,
     "at most 8 .* got 9"),
    (lambda: rg.plot.latents(colour_model(), np.zeros((4, 8, 3))), ValueError,
     r"\[8, 4, 3\].*got shape \[4, 8, 3\]"),
    (lambda: rg.plot.logdet_waterfall(colour_model(), np.full((8, 4, 3), np.nan)), ValueError,
     "96 of the images' numbers are not finite"),
    (lambda: rg.plot.logdet_waterfall(rg.bijectors.Glow((4, 4, 1), 1, 1), np.zeros((4, 4, 1))),
     ValueError, "glow: a picture was asked for .*block0.step0.actnorm.*initialize"),
    (lambda: rg.plot.samples(model()), ValueError, r"\[H, W, 3\].*\[8, 12, 2\]"),
    (lambda: rg.plot.samples(colour_model(), 0), ValueError, "at least 1; got 0"),
    (lambda: rg.plot.samples(colour_model(), columns=0), ValueError, "at least 1 column"),
    (lambda: rg.plot.samples(colour_model(), levels=(1, 0)), ValueError, "black below white"),
    (lambda: rg.plot.samples(np.zeros(3)), TypeError, "got ndarray"),
    (lambda: rg.plot.samples(colour_model()(Sample(Normal(0.0, 1.0), (96,))), temperature=0.5),
     ValueError, "temperature 1; got 0.5"),
    (lambda: rg.plot.error_by_layer(7), TypeError, "got int"),
    (lambda: rg.plot.error_by_layer([]), ValueError, "no layer"),
    (lambda: rg.plot.error_by_layer([("a", -1.0)]), ValueError, "at least 0"),
    (lambda: rg.plot.error_by_layer(["abc"]), TypeError, "got 'abc'"),
    (lambda: rg.plot.error_by_layer(report(), dtype="float16"), ValueError, "float16"),
    (lambda: rg.plot.roofline({"results": []}), ValueError, "refglow bench cpu --json"),
    (lambda: rg.plot.roofline([measured()]), TypeError, "with their ceilings"),
    (lambda: rg.plot.roofline([], CEILINGS), ValueError, "no variant was timed"),
    (lambda: rg.plot.roofline([measured(), measured(dtype="float64")], CEILINGS), ValueError,
     "float32, float64")]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_impossible_input_says_what_and_opens_no_figure(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
    assert not plt.get_fignums()
