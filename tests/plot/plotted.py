"""What these tests draw: models, reports and measurements, small and with random weights."""

import json
from functools import cache

import numpy as np

import refglow as rg
from refglow.kernels.bench.machine import Ceilings, Rate
from refglow.kernels.bench.records import Case, Measurement, Summary
from refglow.kernels.bench.report import as_dict
from refglow.training.model import affine_network
from refglow.validation.implementations import conformance
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.mutants import MUTANTS, PortedGlow
from refglow.validation.random_models import random_images, randomize_weights
from refglow.validation.report import report_of

CEILINGS = Ceilings([Rate("numpy", 30, Summary((1e-9,)))],
                    {"float32": [Rate("square", 180, Summary((1e-9,)))]})


@cache
def colour_model():
    glow = rg.bijectors.Glow((8, 4, 3), 2, 1, affine_network(4), seed=0,
                             grab_after_block=(0.25, 0.5))
    randomize_weights(glow, np.random.default_rng(1), 0.3)
    return glow


@cache
def model():
    """Two channels, several steps, odd proportions."""
    glow = rg.bijectors.Glow((8, 12, 2), 2, 2, affine_network(6), seed=5, dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(5), 0.4)
    return glow


@cache
def found(name, dtype="float64"):
    """What is found of a mutant, or of the right port."""
    glow = model().astype(dtype)
    build = MUTANTS[name].build if name else PortedGlow
    return conformance(glow, build(architecture_of(glow), parameters_of(glow)), images(glow, 2))


@cache
def report():
    return report_of([found("padding-edge"), found("padding-edge", "float32")])


def images(glow, number=3):
    shape = glow.parameters["output_shape"]
    return random_images(np.random.default_rng(2), number, shape).astype(glow.dtype)


def measured(op="op", operations=600, seconds=1e-9, dtype="float32"):
    case = Case(op, f"{op}_forward", "x [2]", dtype, None, None, {}, 40, operations, None, 0.0)
    return Measurement(case, "cpu", 0.0, "", Summary((seconds,)), 1)


def bench_report():
    rows = [as_dict(one, CEILINGS) for one in (measured(), measured("slow", seconds=4e-9),
                                               measured("squeeze", 0))]
    return json.loads(json.dumps({"ceilings": CEILINGS.as_dict(), "results": rows}))


DRAWN = {
    "schematic": lambda ax=None: rg.plot.schematic(model(), ax=ax),
    "latents": lambda ax=None: rg.plot.latents(model(), images(model()), ax=ax),
    "samples": lambda ax=None: rg.plot.samples(colour_model(), 3, 0.7, ax=ax),
    "logdet_waterfall": lambda ax=None: rg.plot.logdet_waterfall(
        model(), images(model()), ax=ax),
    "error_by_layer": lambda ax=None: rg.plot.error_by_layer(report(), ax=ax),
    "roofline": lambda ax=None: rg.plot.roofline(bench_report(), ax=ax)}
