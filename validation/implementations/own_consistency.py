"""An implementation against itself: identities that hold for any flow, right or wrong by the model.

    forward(inverse(x)) = x
    forward_log_det_jacobian(inverse(x)) = -inverse_log_det_jacobian(x)
    inverse_log_det_jacobian(x) = log|det d inverse / dx|      by differences, for small images
    <gradients(x)["x"], v> = d/dt mean log_prob(x + t v)       by differences

The last two in float64 only: in float32, differences tell nothing. What a flow that fails its model
still satisfies tells a consistent flow of other conventions from a broken one.

The Jacobian is J = (4 D(h/2) - D(h)) / 3 with D(h) the central differences over 2h; how far log|det|
moves between D(h/2) and J is the estimate of its error. (A unit of a ReLU network that changes its
side between x - h and x + h shows in it.)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from refglow.dtypes import Array
from refglow.validation.directional import Differences, representable
from refglow.validation.implementations.calls import CallFailedError, Calls
from refglow.validation.implementations.judging import Judgement, misfit
from refglow.validation.implementations.reference import Reference
from refglow.validation.tolerances import gradient_by_differences

OWN = "own"
_MOST_NUMBERS = 256  # of an image whose Jacobian is found: four times as many images to call with
_STEP = 1e-4  # of an image's numbers


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
        self._there_and_back("forward", "round_trip", self._x, "forward(inverse(x)) = x")
        ildj = self._results.get("inverse_log_det_jacobian")
        self._there_and_back("forward_log_det_jacobian", "opposite_log_dets",
                             None if ildj is None else -ildj, "fldj(inverse(x)) = -ildj(x)")
        self._against_jacobian("ildj(x) = log|det J| by differences")
        self._against_differences("gradient of x by differences")

    def _there_and_back(self, name: str, kind: str, expected: Array | None, what: str) -> None:
        z = self._results.get("inverse")
        caller = self._caller_of(name)
        if z is None or expected is None or caller is None:
            self._skip(what, "not all that it takes is offered, and right in shape")
            return
        actual = self._called(caller, name, z.astype(self._reference.dtype), what)
        if actual is None:
            return
        problem = misfit(actual, expected)
        if problem:
            self._judgement.fail(OWN, self._reference, f"{what}: {name} {problem}")
            return
        self._judgement.add(OWN, what, actual, expected.astype(np.float64),
                            self._reference.tolerance(kind), self._reference,
                            self._reference.conditions[kind])

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
        steps = (_STEP * np.eye(size)).reshape(size, *self._x.shape[1:])
        moved = np.concatenate([self._x[:1] + sign * part * steps
                                for part in (1.0, 0.5) for sign in (1, -1)])
        z = self._called(caller, "inverse", moved, what)
        if z is None or misfit(z, np.zeros((len(moved), size))):
            self._skip(what, "inverse does not take so many images")
            return
        up, down, half_up, half_down = np.split(z.astype(np.float64), 4)
        coarse, fine = (up - down) / (2 * _STEP), (half_up - half_down) / _STEP
        dense, before = (float(np.linalg.slogdet(j)[1]) for j in ((4 * fine - coarse) / 3, fine))
        kappa = self._reference.conditions["inverse"]
        tolerance = gradient_by_differences(np.float64, size, kappa / _STEP,
                                            abs(dense - before) / max(abs(dense), 1e-300))
        self._judgement.add(OWN, what, ildj[:1], np.array([dense]), tolerance, self._reference,
                            kappa)

    def _against_differences(self, what: str) -> None:
        gradient = self._results.get("gradients/x")
        if self._reference.dtype != np.float64:
            return
        if gradient is None or "log_prob" not in self._results:
            self._skip(what, "log_prob and a gradient of x are not both offered")
            return
        rng = np.random.default_rng(0)
        v = representable(self._x, rng.standard_normal(self._x.shape) * 0.01)

        def mean(arrays: Sequence[Array]) -> list[Array]:
            [x] = arrays
            return [np.array([self._calls.call("log_prob", x).arrays["log_prob"].mean()])]
        try:
            found = Differences(mean, np.dtype(np.float64), "differences", False).along(
                [self._x], [v])
        except CallFailedError as error:
            self._judgement.fail(OWN, self._reference, f"{what}: log_prob {error.reason}",
                                 error.output)
            return
        expected = found.values[0]
        products = v * gradient.astype(np.float64)
        scale = float(np.abs(expected).max()) or 1.0
        kappa = max(1.0, float(np.abs(products).sum()) / scale)
        tolerance = gradient_by_differences(np.float64, v.size, kappa,
                                            float(found.errors[0].max()) / scale)
        self._judgement.add(OWN, what, np.array([products.sum()]), expected, tolerance,
                            self._reference, kappa)

    def _caller_of(self, name: str) -> str | None:
        """Which offered function gives this result: that of the name, or one that gives two."""
        both = f"{name.split('_')[0]}_and_log_det"
        return next((caller for caller in (name, both) if caller in self._offered), None)

    def _called(self, caller: str, name: str, argument: Array, what: str) -> Array | None:
        try:
            return self._calls.call(caller, argument).arrays[name]
        except CallFailedError as error:
            self._judgement.fail(OWN, self._reference, f"{what}: {caller} {error.reason}",
                                 error.output)
            return None

    def _skip(self, what: str, why: str) -> None:
        self._judgement.skipped.append(f"own, {what}, {self._reference.dtype}: {why}")
