"""An implementation against itself: identities that hold for any flow, right or wrong by the model.

    forward(inverse(x)) = x
    forward_log_det_jacobian(inverse(x)) = -inverse_log_det_jacobian(x)
    inverse_log_det_jacobian(x) = log|det d inverse / dx|      by differences, for small images
    <gradients(x)["x"], v> = d/dt mean log_prob(x + t v)       by differences

The last two in float64 only: in float32, differences tell nothing. What a flow that fails its model
still satisfies tells a consistent flow of other conventions from a broken one.

Differences are central, (f(x + h v) - f(x - h v)) / 2h, all points in one call. How far the
one-sided ones, (f(x + h v) - f(x)) / h and its mirror image, are from that is the estimate of the
error; a unit of a ReLU network that changes its side near x shows in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import numpy as np

from refglow.dtypes import Array
from refglow.validation.implementations.calls import CallFailedError, Calls, NotAnsweredError
from refglow.validation.implementations.judging import Judgement, misfit
from refglow.validation.implementations.reference import Reference
from refglow.validation.tolerances import LARGEST_USEFUL, Tolerance, gradient_by_differences

OWN = "own"
_MOST_NUMBERS = 256  # of an image whose Jacobian is found: twice as many images to call with
_STEP = 1e-6  # of an image's numbers


class OwnConsistency:
    """The identities of one implementation, at one batch of images."""

    def __init__(self, judgement: Judgement, calls: Calls, offered: Collection[str],
                 results: Mapping[str, Array], reference: Reference) -> None:
        """Hold what is needed.

        Args:
          judgement: takes what is found.
          calls: the implementation.
          offered: which of its functions give arrays.
          results: of them, by name, those of the right shape and finite.
          reference: the model.
        """
        self._judgement, self._calls, self._reference = judgement, calls, reference
        self._offered, self._results, self._x = offered, results, reference.x

    def check(self) -> None:
        """All that can be checked with what is offered; the rest is listed."""
        ildj = self._results.get("inverse_log_det_jacobian")
        opposite = None if ildj is None else -ildj
        for what, identity in (
                ("forward(inverse(x)) = x", partial(
                    self._there_and_back, "forward", "round_trip", self._x)),
                ("fldj(inverse(x)) = -ildj(x)", partial(
                    self._there_and_back, "forward_log_det_jacobian", "opposite_log_dets",
                    opposite)),
                ("ildj(x) = log|det J| by differences", self._against_jacobian),
                ("gradient of x by differences", self._against_differences)):
            try:
                identity(what)
            except NotAnsweredError as error:
                self._skip(what, str(error))
            except CallFailedError as error:
                self._judgement.fail(OWN, self._reference, f"{what}: {error.reason}",
                                     error.output)

    def _there_and_back(self, name: str, kind: str, expected: Array | None, what: str) -> None:
        z = self._results.get("inverse")
        caller = self._caller_of(name)
        if z is None or expected is None or caller is None:
            self._skip(what, "not all that it takes is offered, and right in shape")
            return
        actual = self._called(caller, name, z.astype(self._reference.dtype))
        problem, limit = misfit(actual, expected), self._reference.tolerance(kind)
        if problem and limit.relative >= LARGEST_USEFUL and actual.shape == expected.shape:
            self._skip(what, f"too ill-conditioned to tell; {name} {problem}")
            return
        if problem:
            self._judgement.fail(OWN, self._reference, f"{what}: {name} {problem}")
            return
        self._judgement.add(OWN, what, actual, expected.astype(np.float64),
                            limit, self._reference, self._reference.conditions[kind])

    def _against_jacobian(self, what: str) -> None:
        caller = self._caller_of("inverse")
        ildj = self._results.get("inverse_log_det_jacobian")
        size = self._x[0].size
        if self._reference.dtype != np.float64:
            return
        if caller is None or ildj is None or "inverse" not in self._results:
            self._skip(what, "not all that it takes is offered, and right in shape")
            return
        if size > _MOST_NUMBERS:
            self._skip(what, f"an image has {size} numbers, more than {_MOST_NUMBERS}")
            return
        z = self._called(caller, "inverse", _moved(self._x[:1], np.eye(size)))
        if misfit(z, np.zeros((2 * size, size))):
            self._skip(what, "inverse does not take so many images")
            return
        dense, *others = (float(np.linalg.slogdet(j)[1])
                          for j in _derivatives(z, self._results["inverse"][0]))
        kappa = self._reference.conditions["inverse"]
        tolerance = gradient_by_differences(np.float64, size, kappa / _STEP,
                                            max(abs(dense - other) for other in others) /
                                            (abs(dense) or 1.0))
        self._add_difference(what, ildj[:1], np.array([dense]), tolerance, kappa)

    def _against_differences(self, what: str) -> None:
        gradient = self._results.get("gradients/x")
        if self._reference.dtype != np.float64:
            return
        if gradient is None or "log_prob" not in self._results:
            self._skip(what, "log_prob and a gradient of x are not both offered")
            return
        v = np.random.default_rng(0).standard_normal((1, self._x.size))
        value = self._called("log_prob", "log_prob", _moved(self._x, v))
        if misfit(value, np.zeros(2 * len(self._x))):
            self._skip(what, "log_prob does not take so many images")
            return
        expected, *others = (float(slope.mean())
                             for slope in _derivatives(value, self._results["log_prob"]))
        products = v.reshape(-1) * gradient.reshape(-1)
        scale = abs(expected) or 1.0
        kappa = max(float(np.abs(products).sum()), float(np.abs(value).mean()) / _STEP) / scale
        tolerance = gradient_by_differences(np.float64, v.size, max(1.0, kappa),
                                            max(abs(expected - other) for other in others) / scale)
        self._add_difference(what, np.array([products.sum()]), np.array([expected]), tolerance,
                             kappa)

    def _add_difference(self, what: str, actual: Array, expected: Array, tolerance: Tolerance,
                        kappa: float) -> None:
        """Compare with differences, unless they themselves are known to no digit."""
        if tolerance.relative >= LARGEST_USEFUL:
            self._skip(what, f"differences tell nothing here ({tolerance.relative:.1g} may be "
                       "their own error)")
            return
        self._judgement.add(OWN, what, actual, expected, tolerance, self._reference, kappa)

    def _caller_of(self, name: str) -> str | None:
        """Which offered function gives this result: that of the name, or one that gives two."""
        both = f"{name.split('_')[0]}_and_log_det"
        return next((caller for caller in (name, both) if caller in self._offered), None)

    def _called(self, caller: str, name: str, argument: Array) -> Array:
        try:
            return self._calls.call(caller, argument).arrays[name]
        except CallFailedError as error:
            raise CallFailedError(f"{caller} {error.reason}", error.output) from error

    def _skip(self, what: str, why: str) -> None:
        self._judgement.skipped.append(f"own, {what}, {self._reference.dtype}: {why}")


def _moved(x: Array, directions: Array) -> Array:
    """x + t v for t = h, -h and every direction v: [2 * directions * B, H, W, C].

    Args:
      x: [B, H, W, C].
      directions: [n, numbers of x].
    """
    steps = _STEP * directions.reshape(-1, *x.shape)
    return np.concatenate([(x + t * steps).reshape(-1, *x.shape[1:]) for t in (1.0, -1.0)])


def _derivatives(values: Array, here: Array) -> tuple[Array, Array, Array]:
    """(central, right, left) differences from the values at the points of `_moved`, and at x."""
    up, down = np.split(values.astype(np.float64), 2)
    return (up - down) / (2 * _STEP), (up - here) / _STEP, (here - down) / _STEP
