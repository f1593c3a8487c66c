"""Every tolerance, and its reason. One home: no other file decides what is close enough.

A stable algorithm gives the exact result for data perturbed by a few roundings. With eps the
distance from 1 to the next float, L the number of layers that commit such roundings, and kappa the
measured condition of the map, the relative error to expect is about

    tolerance = c * eps * sqrt(L) * kappa,          c = 4

kappa says how much a relative perturbation of the input and of all parameters grows in the result
(see `conditioning.py`). The layers' errors are independent, so they accumulate like sqrt(L). c
covers the roundings inside one layer, and that both sides commit them: a dot product of n terms
commits n roundings, which accumulate at random to about sqrt(n), partly in blocks. Over the golden
files and 50 random architectures the largest error is two thirds of this.

In float64 this stays below the limit the project sets itself against TFP, 1e-12 * kappa, which is
checked too.

Derivatives. refglow's own are held against complex steps, which subtract nothing and so are exact
to rounding, by the project's limits below. For a gradient that anyone wrote (`gradients.py`),
nothing is known of the code between x and y. What can be stated is the rounding of the sum that
<J v, w> is: with n terms that cancel by the factor kappa, sqrt(n) * eps * kappa; and how much the
gradient itself moves where x moves by a rounding, which is measured and enters kappa. c = 64 covers
the code between. Finite differences bring an error of their own, the measured one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.real_nvp import RealNVP
from refglow.module import Module

AGAINST_TFP_FLOAT64 = 1e-12  # times kappa: the project's limit for float64, any architecture
AGAINST_DENSE_JACOBIAN = 1e-10  # log-det against slogdet of the dense Jacobian, float64
# Gradients are sums over images and pixels, some of which cancel; float64, max-norm per array. An
# ill-conditioned gradient has the limit of `agreement`, if that is larger.
GRADIENTS_AGAINST_AUTODIFF = 1e-10
TRAJECTORY_AGAINST_PEERS = 1e-9  # losses of 100 steps of training, float64, relative
TRAINED_AGAINST_TFP = 0.02  # bits/dim of test images after a whole training
TRAINED_BELOW_GAUSSIAN = 0.1  # bits/dim that a trained Glow must gain on a full-covariance Gaussian
ANSWER_OF_AN_EXERCISE = 1e-9  # a learner's float64, relative to the largest: mistakes are not small
# A learner's float32, relative to the largest: the specifications compute in float64 and round
# once, a kernel rounds each operation of a few, or of a sum of some dozens.
KERNEL_OF_A_PUZZLE = 64.0 * float(np.finfo(np.float32).eps)
# Derivatives in float64, by hand against complex steps, relative to the largest of an array:
DERIVATIVE_AGAINST_COMPLEX_STEP = 1e-13  # one bijector
GLOW_DERIVATIVE_AGAINST_COMPLEX_STEP = 1e-11  # a whole Glow: tens of layers, one after another
ADJOINT = 1e-13  # <J v, w> = <v, J^T w>, relative to the sum of the terms' sizes
# In eps of the less precise type, relative to the largest of an array. Roundings move activations,
# and gradients by their curvature; over the registry of cases the largest is 40.
DERIVATIVE_IN_ANOTHER_TYPE = 100.0  # the same vjp in float32 or longdouble against float64
# An input rebuilt by inverses carries the roundings of the parts undone so far, times the condition
# of each; in the models of the tests the gradient differs by 40 eps.
REBUILT_AGAINST_STORED = 200.0  # memory="reversible" against "store", well-conditioned models
# Times the tolerance of `agreement`: from there on the diagnosis looks for a mistake. kappa is the
# largest of a few draws, and a right port on 400 random models came to 1.2 times the tolerance; the
# smallest mistakes planted are larger than it by three orders.
LOOKED_INTO = 4.0
TELLS_ORDERS_APART = 1e-3  # an error that tells one order of layers from another
# A check that would let an error of a tenth pass shows nothing, and fails instead.
LARGEST_USEFUL = 0.1
# The audit of a model (`validation/audit`): samples that reach a thousand times as far as data do
# at the same place have nothing to do with data any more.
ABSURD_GROWTH = 1e3
# A round trip of latents is lost with less than two digits; one of images, if a level is missed.
LATENTS_RECONSTRUCTED = 0.01
# Derivatives that start from a rounded result (x_dot = y_dot e^-x for the inverse of Exp) carry its
# absolute error: |x| eps, 42 eps at the ends of float32's range.
_DERIVATIVE_OVER_VALUE = 16.0
_ROUNDINGS_PER_LAYER = 4.0
_ROUNDINGS_OF_A_SUM = 16.0  # of tens of terms, relative to the sum of their sizes
_ROUNDINGS_PER_GRADIENT = 64.0
_ROUNDINGS_PER_PROBE = 1e4  # sums over thousands of products, some of which cancel
# Ridders' estimate is the difference of two columns of the extrapolation, not a bound.
_ESTIMATE_TO_BOUND = 10.0


@dataclass(frozen=True)
class Tolerance:
    """The largest relative error that passes, and why it is that."""

    relative: float
    reason: str


def rounding_layers(model: Module) -> int:
    """L: how many parts of a bijector, network or distribution commit roundings.

    Counted are its innermost bijectors and network layers, except those that only rearrange; a
    coupling counts for itself beside its network.
    """
    modules = (model, *model.submodules)
    return max(1, sum(_rounds(module) for module in modules))


def _rounds(module: Any) -> bool:
    if isinstance(module, RealNVP):
        return True
    if getattr(module, "submodules", ()):
        return False
    if isinstance(module, Bijector):
        return not module.is_permutation
    return any(True for _ in module.named_variables())


def summed_again(dtype: Any) -> float:
    """How far two sums of the same terms may be apart, relative to the sum of their sizes."""
    return _ROUNDINGS_OF_A_SUM * float(np.finfo(np.dtype(dtype)).eps)


def largest_layer_condition(dtype: Any) -> float:
    """eps^(-1/2): a layer with a larger condition alone loses half of all digits of the type."""
    return 1 / math.sqrt(float(np.finfo(np.dtype(dtype)).eps))


def agreement(dtype: Any, layers: int, condition: float) -> Tolerance:
    """For two implementations of one map in the same number type, or one against the truth.

    Args:
      dtype: the number type of the results.
      layers: how many parts of the map commit roundings.
      condition: kappa.
    """
    eps = float(np.finfo(np.dtype(dtype)).eps)
    value = _ROUNDINGS_PER_LAYER * eps * math.sqrt(layers) * condition
    reason = f"{layers}^.5 x {condition:.2g}"
    limit = AGAINST_TFP_FLOAT64 * condition
    if np.dtype(dtype) == np.float64 and value > limit:
        return Tolerance(limit, f"1e-12 x {condition:.2g}")
    return Tolerance(value, reason)


def derivative_agreement(dtype: Any, layers: int, condition: float) -> Tolerance:
    """As `agreement`, for derivatives along a direction and gradients, one against the truth.

    Args:
      dtype, layers, condition: as for `agreement`, the condition of the derivative.
    """
    value = agreement(dtype, layers, condition)
    return Tolerance(_DERIVATIVE_OVER_VALUE * value.relative,
                     f"{_DERIVATIVE_OVER_VALUE:g} x {value.reason}")


def log_det_agreement(dtype: Any, layers: int, condition: float, terms: int,
                      cancelled: float) -> Tolerance:
    """As `agreement`, for a log-det or density: a sum over all numbers of an example.

    Args:
      dtype, layers, condition: as for `agreement`.
      terms, cancelled: as for `of_a_sum`.
    """
    return of_a_sum(agreement(dtype, layers, condition), dtype, terms, cancelled)


def of_a_sum(value: Tolerance, dtype: Any, terms: int, cancelled: float) -> Tolerance:
    """A tolerance, and what adding up many terms may be off by besides.

    Whoever adds up in float64 may do it one number after the other (`added_up`): there is no wider
    type to go to, and no digit that anybody needs is lost. In float32 many are, and need not be: in
    float64, or in pairs, of which every term goes through log2(n), a sum keeps them. So there a
    plain loop over thousands of numbers is told.

    Args:
      value: the tolerance of each term.
      dtype: the number type of the sum.
      terms: n.
      cancelled: the sum of the terms' sizes over the size of the sum.
    """
    pairs = float(np.finfo(np.dtype(dtype)).eps) * math.log2(max(1, terms))
    return Tolerance(value.relative + (pairs + added_up(terms)) * cancelled,
                     f"{value.reason} + {terms} terms x {cancelled:.2g}")


def added_up(terms: int) -> float:
    """How far a sum in float64, one number after the other, may be off: of its terms' sizes.

    Each of n - 1 additions rounds by at most eps / 2 of the sum so far. Where the terms are alike,
    as the log-scales of a coupling that hardly changes its input are, all may round the same way.
    """
    return max(0, terms - 1) * float(np.finfo(np.float64).eps) / 2


def probed_network(dtype: Any) -> float:
    """Whether a network was read rightly, on random numbers: another function differs by O(1)."""
    return _ROUNDINGS_PER_PROBE * float(np.finfo(np.dtype(dtype)).eps)


def gradient(dtype: Any, terms: int, condition: float) -> Tolerance:
    """For a gradient computed in `dtype`, against a derivative exact to rounding.

    Args:
      dtype: the less precise number type of the two.
      terms: n, how many numbers are summed.
      condition: kappa, of the sum and of the gradient under roundings of x.
    """
    eps = float(np.finfo(np.dtype(dtype)).eps)
    return Tolerance(_ROUNDINGS_PER_GRADIENT * eps * math.sqrt(terms) * condition,
                     f"{_ROUNDINGS_PER_GRADIENT:g} eps({np.dtype(dtype)}) x {terms} terms^.5 x "
                     f"condition {condition:.2g}")


def gradient_by_differences(dtype: Any, terms: int, condition: float,
                            estimate: float) -> Tolerance:
    """For a gradient computed in `dtype`, against finite differences.

    Args:
      dtype, terms, condition: as for `gradient`.
      estimate: the differences' own estimate of their error, relative.
    """
    rounding = gradient(dtype, terms, condition)
    return Tolerance(rounding.relative + _ESTIMATE_TO_BOUND * estimate,
                     f"{_ESTIMATE_TO_BOUND:g} x the differences' error {estimate:.2g} + "
                     f"{rounding.reason}")
