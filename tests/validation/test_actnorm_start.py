"""A start from few pixels: what subtracting a large mean costs the ActNorms after it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from refglow.validation.campaigns.of_implementation import ImplementationCampaign, images_for
from refglow.validation.implementations import conformance
from refglow.validation.implementations.actnorm_start import conditions_of_start
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.mutants import PortedGlow

# Of a campaign of 2,000 architectures, the one of seed 0 whose coarsest block has two pixels and a
# channel with a mean of 730 deviations.
NUMBER = 742


@pytest.fixture(scope="module")
def model():
    campaign = ImplementationCampaign(
        implementation="refglow.validation.mutants:PortedGlow", digest="", architectures=2000,
        seed=0, images=1, dtypes=["float64"], time_limit=60, diagnosis_seconds=0)
    return campaign.model(NUMBER)


def passed(port, model):
    """Whether each started parameter of a port is right, by name."""
    found = conformance(model, port(architecture_of(model), parameters_of(model)),
                        images_for(model, 1, 0))
    return {row.prop: row.passed for row in found.rows if row.bijector == "initialize"}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_start_from_two_pixels_is_right(model, dtype):
    found = passed(PortedGlow, model.astype(dtype))
    assert len(found) == 12 and all(found.values())


class Biased(PortedGlow):
    """Means that are off by a millionth of the deviation."""

    def initialize(self, x):
        return {name: value + 1e-6 * value.std() if name.endswith("shift") else value
                for name, value in super().initialize(x).items()}


def test_a_start_that_is_wrong_is_seen(model):
    found = passed(Biased, model)
    assert found == {name: not name.endswith("shift") for name in found}


def test_the_largest_mean_of_all_before_counts():
    """Four ActNorms with means of 10, 1000, 1/4 and 8 deviations, and what is no ActNorm."""
    started = {f"initialize/{name}.{part}": np.array([value]) for name, *values in (
        ("a", 10.0, 0.0), ("b", -1000.0, 0.0), ("c", 0.125, math.log(2)), ("d", 8.0, 0.0))
        for part, value in zip(("shift", "log_scale"), values, strict=True)}
    layers = [SimpleNamespace(name=name) for name in ("a", "conv", "b", "c", "d")]
    moved = dict.fromkeys(started, 3.0) | {"initialize/d.shift": 600.0}
    kappas = conditions_of_start(layers, started, moved, 4)
    assert kappas == pytest.approx({
        "initialize/a.shift": 3, "initialize/a.log_scale": 3,
        "initialize/b.shift": 5, "initialize/b.log_scale": 5,
        "initialize/c.shift": 500 * 4, "initialize/c.log_scale": 500 / math.log(2),
        "initialize/d.shift": 600, "initialize/d.log_scale": 500})
