"""Reports to look at: a right Glow, wrong ones, one that fails, and text that strangers wrote."""

from dataclasses import replace
from functools import cache

import numpy as np

from refglow.bijectors import Glow
from refglow.training.model import affine_network
from refglow.validation.diagnosis.of_conformance import diagnosis_of
from refglow.validation.implementations import conformance
from refglow.validation.implementations.judging import FailedCall
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.mutants import MUTANTS, PortedGlow
from refglow.validation.random_models import random_images, randomize_weights
from refglow.validation.report import report_of, to_diagnose
from refglow.validation.report.making import (
    report_of_golden,
    report_of_live,
    report_of_vectors,
)
from refglow.validation.row import Row
from refglow.validation.vectors.judging import Judged

SHAPE = (8, 12, 2)
DTYPES = ("float64", "float32")
RIGHT, PADDING = "right", "padding-edge"
HOSTILE = ('<script>alert("owned")</script><img src=x onerror=alert(1)> ]]> & \' " '
           "\x00\x1b[31m\x07\u202egnp.exe\u2066 \ud800 {{ 7 * 7 }} {% raw %} " + "long" * 60)


class Failing(PortedGlow):
    """Raises, returns nothing, and has a NaN in its images and in a layer."""

    def inverse(self, x):
        raise ValueError(HOSTILE)

    def gradients(self, x):
        return None

    def forward_and_log_det(self, z):
        x, log_det = super().forward_and_log_det(z)
        x = x.copy()
        x[0, 3, 5, 1] = np.nan
        return x, log_det


@cache
def model(dtype):
    """Three scales of latents, odd proportions, every weight random."""
    rng = np.random.default_rng(5)
    glow = Glow(SHAPE, 2, 2, affine_network(6), seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, 0.4)
    return glow.astype(dtype)


@cache
def found(name):
    """The comparison of a mutant, of the right port, or of an implementation, in both types."""
    images = random_images(np.random.default_rng(6), 3, SHAPE)
    build = {RIGHT: PortedGlow, "failing": Failing}.get(name) or MUTANTS[name].build
    return tuple(conformance(model(dtype), build(architecture_of(model(dtype)),
                                                 parameters_of(model(dtype))), images)
                 for dtype in DTYPES)


@cache
def report(name):
    """The report of one of them, diagnosed."""
    compared = found(name)
    one = to_diagnose(compared)
    return report_of(compared, None if one is None else diagnosis_of(one), 2.5,
                     {"implementation": f"mine.py:{name}", "seed": 5})


@cache
def hostile():
    """A report of a failing implementation in which everything that strangers name is hostile."""
    plain = report("failing")
    one = plain.types[0]
    spoilt = replace(one, found=replace(
        one.found, remarks=(HOSTILE,), skipped=(HOSTILE,), absent=(HOSTILE,),
        failed=(*one.found.failed, FailedCall(HOSTILE, "float64", HOSTILE, HOSTILE)),
        rows=(*one.found.rows, replace(one.found.rows[0], bijector=HOSTILE, prop=HOSTILE,
                                       reason=HOSTILE))))
    return replace(plain, types=(spoilt, *plain.types[1:]), summary=replace(
        plain.summary, explanation=(HOSTILE,)), settings={
            **plain.settings, "implementation": HOSTILE, "model": HOSTILE})


def row(name, prop, dtype, share):
    """A row with that share of its tolerance as its error."""
    eps = float(np.finfo(dtype).eps)
    return Row(name, prop, dtype, 4 * share, 8 * eps * share, 8 * eps, "4^.5 x 1", 1.0)


def golden():
    """A report of rows by section, one wrong."""
    rows = [row(name, prop, dtype, share) for dtype in DTYPES
            for name, prop, share in (("Exp", "forward", 0.5), ("Glow", "inverse", 3.0))]
    return report_of_golden({"Every bijector": rows, "Photographs": rows[:2]}, "TFP 0.0", 1.0)


def live():
    """A report of rows and float32 ratios, one of them too large."""
    return report_of_live({"Whole Glows": [row("Glow", "forward", "float32", 0.1)]},
                          {"forward": [0.5, 2.5], "inverse": [0.5]}, "TFP 0.0 (live)", 1.0,
                          {"configs": 2, "seed": 0})


def vectors():
    """A report of four vectors: right, wrong, unknown by a hostile name, and one not all given."""
    return report_of_vectors([
        Judged("exp-one", (row("exp-one", "forward/value", "float32", 0.2),), flags=("Gradient",)),
        Judged("tanh-one", (row("tanh-one", "forward/value", "float64", 0.2),
                            row("tanh-one", "forward/log_det", "float64", 2e9)),
               undecidable=("inverse/value",), absent=("inverse/log_det",),
               flags=("LogDetSign", "MissingHW")),
        Judged(HOSTILE, problems=(HOSTILE,))], 1.0)


REPORTS = {"right": lambda: report(RIGHT), "wrong": lambda: report(PADDING),
           "failing": lambda: report("failing"), "hostile": hostile, "golden": golden,
           "live": live, "vectors": vectors}
