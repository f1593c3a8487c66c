"""Errata about the distributions that bijectors make: Sample and TransformedDistribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import refglow.bijectors
import refglow.distributions
from refglow.validation.errata.erratum import Demonstration, Erratum, attempt, raises
from refglow.validation.tfp.framework import tfp_bijectors, tfp_distributions


def _normal(library: Any) -> Any:
    return library.Normal(np.float64(0), np.float64(1))


def _event_tfp() -> Demonstration:
    library = tfp_distributions()
    single, joint = _normal(library), library.Sample(_normal(library), 1)
    log_prob = np.asarray(joint.log_prob(np.zeros(4)))
    terms = float(log_prob) / float(single.log_prob(np.float64(0)))
    return Demonstration(f"events of shape {tuple(joint.event_shape)}, a value of shape (4,): the "
                         f"sum of {terms:.3g} terms",
                         tuple(joint.event_shape) == (1,) and abs(terms - 4) < 1e-12)


def _event_refglow() -> Demonstration:
    library = refglow.distributions
    return raises(lambda: library.Sample(_normal(library), 1).log_prob(np.zeros(4)), ValueError,
                  "shape [4]", "expected [..., 1]")


EVENT_SHAPE = Erratum(
    identifier="sample-event-broadcast",
    title="Sample broadcasts event dimensions",
    where="Sample, mathematical details; log_prob",
    documented="An event has the shape sample_shape + distribution.event_shape; its density is "
               "the product over those samples.",
    tfp_does="Event dimensions of size 1 broadcast, the value's and the distribution's: with "
             "sample_shape 1, log_prob of four numbers is silently the sum of four terms.",
    refglow_does="ValueError: the last dimensions must be the event shape.",
    follows="neither", show_tfp=_event_tfp, show_refglow=_event_refglow)


def _folded_density() -> float:
    """The density at 1/2 of |x|, for x from the standard normal distribution."""
    return math.sqrt(2 / math.pi) * math.exp(-1 / 8)


def _preimages_tfp() -> Demonstration:
    library, size = tfp_distributions(), 3
    folded = tfp_bijectors().AbsoluteValue()(library.Sample(_normal(library), size))
    density = math.exp(float(folded.log_prob(np.full(size, 0.5))))
    counted = 2 ** size * density / _folded_density() ** size
    return Demonstration(f"the density of |x| for {size} numbers sums {counted:.3g} of "
                         f"{2 ** size} preimages", abs(counted - 2) < 1e-9)


def _preimages_refglow() -> Demonstration:
    library, size = refglow.distributions, 3
    fold, y = refglow.bijectors.AbsoluteValue(), np.full(size, 0.5)
    refused = attempt(lambda: fold(library.Sample(_normal(library), size)).log_prob(y))
    density = math.exp(float(library.Sample(fold(_normal(library)), size).log_prob(y)))
    counted = 2 ** size * density / _folded_density() ** size
    return Demonstration(f"{refused}; Sample outside sums {counted:.3g} of {2 ** size}",
                         refused.raised(NotImplementedError, "Sample(bijector(distribution)")
                         and abs(counted - 2 ** size) < 1e-9)


PREIMAGES = Erratum(
    identifier="preimages-two",
    title="The density of n absolute values counts two of 2^n preimages",
    where="AbsoluteValue; TransformedDistribution.log_prob",
    documented="AbsoluteValue transforms scalar distributions; log_prob is the log density.",
    tfp_does="A vector's preimages are taken to be all signs negative or all positive: the "
             "density of n numbers is too small by a factor of 2^(n - 1), silently.",
    refglow_does="NotImplementedError, which says to write Sample(bijector(distribution), n).",
    follows="neither", show_tfp=_preimages_tfp, show_refglow=_preimages_refglow)


def _folded(bijectors: Any, distributions: Any) -> Any:
    return bijectors.AbsoluteValue()(_normal(distributions))


def _joint_tfp() -> Demonstration:
    folded = _folded(tfp_bijectors(), tfp_distributions())
    draws = np.shape(folded.sample(2, seed=0))
    outcome = attempt(lambda: folded.experimental_sample_and_log_prob(2, seed=0))
    return Demonstration(f"sample works; with log_prob: {outcome}",
                         draws == (2,) and outcome.raised(AttributeError, "_sample_and_log_prob"))


def _joint_refglow() -> Demonstration:
    folded = _folded(refglow.bijectors, refglow.distributions)
    draws, log_prob = folded.experimental_sample_and_log_prob(2, seed=0)
    error = float(np.abs(log_prob - folded.log_prob(draws)).max())
    return Demonstration(f"two draws; log_prob differs from that of the draws by {error:.1g}",
                         draws.shape == (2,) and error < 1e-14)


SAMPLE_AND_LOG_PROB = Erratum(
    identifier="sample-and-log-prob-non-injective",
    title="experimental_sample_and_log_prob fails for a bijector that is not injective",
    where="TransformedDistribution.experimental_sample_and_log_prob",
    documented="By default it calls sample and then log_prob.",
    tfp_does="AttributeError: it asks its parent class for a method that is not there.",
    refglow_does="The draws and their log_prob.",
    follows="documentation", show_tfp=_joint_tfp, show_refglow=_joint_refglow)


def _exp(bijectors: Any, distributions: Any) -> Any:
    return bijectors.Exp()(_normal(distributions))


def _unknown_tfp() -> Demonstration:
    transformed = _exp(tfp_bijectors(), tfp_distributions())
    plain = float(transformed.log_prob(np.float64(2)))
    misspelt = float(transformed.log_prob(np.float64(2), bijector_kwrgs={"label": 1.0}))
    draws = np.shape(transformed.sample(2, sede=1))
    return Demonstration(f"log_prob {plain:.4f}, with bijector_kwrgs= {misspelt:.4f}; "
                         f"sample(2, sede=1) gives {draws}",
                         plain == misspelt and draws == (2,))


def _unknown_refglow() -> Demonstration:
    transformed = _exp(refglow.bijectors, refglow.distributions)
    shown = [raises(act, TypeError, name) for act, name in (
        (lambda: transformed.log_prob(np.float64(2), bijector_kwrgs={}), "bijector_kwrgs"),
        (lambda: transformed.sample(2, sede=1), "sede"))]
    return Demonstration(shown[0].observed, all(demonstration.holds for demonstration in shown))


UNKNOWN_KWARGS = Erratum(
    identifier="distribution-kwargs-misspelt",
    title="TransformedDistribution drops unknown keyword arguments",
    where="TransformedDistribution, argument kwargs_split_fn; log_prob and sample, **kwargs",
    documented="Named arguments are forwarded; by default those in distribution_kwargs and "
               "bijector_kwargs.",
    tfp_does="All others are ignored: a misspelt bijector_kwargs conditions on nothing and a "
             "misspelt seed seeds nothing, silently.",
    refglow_does="TypeError, naming the unknown ones and the two that there are.",
    follows="neither", show_tfp=_unknown_tfp, show_refglow=_unknown_refglow)

ERRATA = (EVENT_SHAPE, PREIMAGES, SAMPLE_AND_LOG_PROB, UNKNOWN_KWARGS)
