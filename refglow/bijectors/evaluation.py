"""What every bijector computes: TFP's interface over one primitive per direction.

A bijector is an invertible map y = g(x) that knows how it changes volume:

    fldj(x) = log |det dg/dx (x)|           the forward log-det-Jacobian, in nats
    ildj(y) = log |det dg^-1/dy (y)| = -fldj(g^-1(y))

A subclass implements two methods, each giving the value and the log-det in one pass:

    _forward_and_log_det(x, **kwargs) -> (y, fldj)
    _inverse_and_log_det(y, **kwargs) -> (x, ildj)

The arrays' last `min_event_ndims` dimensions are one event; the log-det a subclass returns is that
of one event, of any shape that broadcasts to the batch dimensions in front. This class derives
everything else from the two: `forward`, `inverse`, both log-dets and their sum over further event
dimensions, shapes, dtypes, variables. There is no hidden cache: to have both results for the price
of one, call `forward_and_log_det` or `inverse_and_log_det`.

Source: tfp.bijectors.Bijector.
"""
from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import asarray, to_host
from refglow.bijectors.log_det import reduce_log_det, rounded_like
from refglow.bijectors.signature import Signature
from refglow.dtypes import Array, as_array
from refglow.structure import flatten, iterate, map_structure


class Evaluation(Signature):
    """The values of the map and its log-det-Jacobian, in both directions. See the module's text."""

    # ---- the map ------------------------------------------------------------------------------

    def forward(self, x: Any, name: str = "forward", **kwargs: Any) -> Any:
        """y = g(x).

        Args:
          x: array-like (or a structure of them), shape [batch..., event...].
          name: unused; TFP's name for the operation.
          **kwargs: passed to the nested bijectors, by their names.

        Returns:
          array (structure) of the input's dtype: CuPy's, on the same GPU, for CuPy arrays;
          NumPy's for everything else.

        Raises:
          TypeError: if x is a floating array of another dtype than the bijector's.
          ValueError: if its shape does not fit.
        """
        array = self._convert(x, "x", self._forward_min_event_ndims)
        return as_arrays(self._forward(array, **kwargs), array)

    def inverse(self, y: Any, name: str = "inverse", **kwargs: Any) -> Any:
        """x = g^-1(y); for a non-injective bijector the tuple of all x with g(x) = y.

        Args, Returns and Raises: as for `forward`.
        """
        array = self._convert(y, "y", self._inverse_min_event_ndims)
        return as_arrays(self._inverse(array, **kwargs), array)

    def forward_log_det_jacobian(self, x: Any, event_ndims: Any = None,
                                 name: str = "forward_log_det_jacobian", **kwargs: Any) -> Array:
        """log |det dg/dx| at x, in nats.

        Args:
          x: array-like (structure), shape [batch..., event...].
          event_ndims: how many trailing dimensions of x are one event; at least
            `forward_min_event_ndims`, which is the default.
          name: unused.
          **kwargs: passed to the nested bijectors, by their names.

        Returns:
          array of shape [batch...]: summed over event dimensions, never over the batch.

        Raises:
          NotImplementedError: for a non-injective bijector.
          ValueError: if `event_ndims` is too small, or larger than the rank of x.
        """
        return self.forward_and_log_det(x, event_ndims, **kwargs)[1]

    def inverse_log_det_jacobian(self, y: Any, event_ndims: Any = None,
                                 name: str = "inverse_log_det_jacobian", **kwargs: Any) -> Any:
        """log |det dg^-1/dy| at y, in nats; a tuple, one for each preimage, if not injective.

        Args, Returns and Raises: as for `forward_log_det_jacobian`, for y.
        """
        return self.inverse_and_log_det(y, event_ndims, **kwargs)[1]

    def forward_and_log_det(self, x: Any, event_ndims: Any = None,
                            **kwargs: Any) -> tuple[Any, Array]:
        """(g(x), fldj(x)) in one pass; arguments as for `forward_log_det_jacobian`."""
        if not self.is_injective:
            raise NotImplementedError(
                f"{self.name}: the forward log-det of a non-injective bijector is not defined; "
                "use inverse_log_det_jacobian, which has one value for each preimage.")
        ndims = self._event_ndims(event_ndims, self._forward_min_event_ndims)
        array = self._convert(x, "x", ndims)
        y, fldj = self._forward_and_event_log_det(array, ndims, **kwargs)
        return as_arrays(y, array), rounded_like(fldj, array, ndims)

    def inverse_and_log_det(self, y: Any, event_ndims: Any = None,
                            **kwargs: Any) -> tuple[Any, Any]:
        """(g^-1(y), ildj(y)) in one pass; arguments as for `inverse_log_det_jacobian`."""
        ndims = self._event_ndims(event_ndims, self._inverse_min_event_ndims)
        array = self._convert(y, "y", ndims)
        x, ildj = self._inverse_and_event_log_det(array, ndims, **kwargs)
        return as_arrays(x, array), rounded_like(ildj, array, ndims)

    # ---- what subclasses implement ------------------------------------------------------------

    def _forward_and_log_det(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """(x, **kwargs) -> (y, fldj); those without nested bijectors take x alone."""
        raise NotImplementedError(f"{type(self).__name__} does not implement "
                                  "_forward_and_log_det(x) -> (y, fldj).")

    def _inverse_and_log_det(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """(y, **kwargs) -> (x, ildj)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement "
                                  "_inverse_and_log_det(y) -> (x, ildj).")

    def _forward(self, x: Any, **kwargs: Any) -> Any:
        """The value alone. Compositions override this."""
        return self._forward_and_log_det(x, **kwargs)[0]

    def _inverse(self, y: Any, **kwargs: Any) -> Any:
        """The value alone. Compositions override this."""
        return self._inverse_and_log_det(y, **kwargs)[0]

    def _forward_and_event_log_det(self, x: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        """The value, and the log-det summed over `event_ndims`. Compositions override this."""
        y, fldj = self._forward_and_log_det(x, **kwargs)
        return y, self._reduced(fldj, x, event_ndims, self._forward_min_event_ndims)

    def _inverse_and_event_log_det(self, y: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        """The value, and the log-det summed over `event_ndims`. Compositions override this."""
        x, ildj = self._inverse_and_log_det(y, **kwargs)
        return x, self._reduced(ildj, y, event_ndims, self._inverse_min_event_ndims)

    def _reduced(self, log_det: Any, x: Any, event_ndims: Any, minimum: Any) -> Any:
        """The log-det summed over `event_ndims`.

        Of a bijector that is not injective there is none in the direction forward (None), and a
        tuple of them, one for each preimage, in the direction inverse.
        """
        if log_det is None:
            return None
        if isinstance(log_det, tuple):
            return tuple(self._reduced(part, x, event_ndims, minimum) for part in log_det)
        return reduce_log_det(log_det, x, event_ndims, minimum, self.name)

    def _check_domain(self, array: Array, what: str) -> None:
        """Raise ValueError if a value of `what` ("x" or "y") is outside the domain."""

    # ---- checks -------------------------------------------------------------------------------

    def _convert(self, value: Any, what: str, event_ndims: Any) -> Any:
        """The public input as arrays of the right dtype and rank, its values checked if asked."""
        def one(part: Any, ndims: int) -> Array:
            array = as_array(part, self.dtype, self.name, what)
            if array.ndim < ndims:
                raise ValueError(f"{self.name}: {what} must have at least {ndims} dimensions for "
                                 f"one event; got shape {array.shape}.")
            return array
        self._check_structure(value, event_ndims, what)
        arrays = map_structure(event_ndims, one, value, event_ndims)
        self._check_values(arrays, what, event_ndims)
        return arrays

    def _check_values(self, arrays: Any, what: str, template: Any) -> None:
        """With validate_args, raise ValueError unless all are finite and inside the domain.

        Compositions call it for each of their parts, so that a part's validate_args counts.
        """
        if self.validate_args:
            for array in flatten(template, arrays):
                _check_finite(array, self.name, what)
                self._check_domain(array, what)


def as_arrays(result: Any, like: Any) -> Any:
    """The result with arrays at all leaves: NumPy turns those of no dimensions into scalars."""
    objects = any(leaf.dtype == object for _, leaf in iterate(like))
    return map_structure(result, lambda leaf: asarray(leaf, object if objects else None), result)


def _check_finite(array: Array, name: str, what: str) -> None:
    if array.dtype.kind not in "fc" or bool(np.isfinite(array).all()):
        return
    bad = to_host(np.argwhere(~np.isfinite(array)))
    raise ValueError(f"{name}: {what} holds {len(bad)} values that are NaN or infinite; the first "
                     f"is {array[tuple(bad[0])]} at index {tuple(map(int, bad[0]))}.")
