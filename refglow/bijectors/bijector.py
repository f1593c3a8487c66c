"""The base of every bijector.

It evaluates (`evaluation.py`), differentiates, composes and compares. A subclass implements four
primitives; for a map of one array that is written as an op (`op.py`), all four come with it:

    _forward_and_log_det(x, **kwargs) -> (y, fldj)
    _inverse_and_log_det(y, **kwargs) -> (x, ildj)
    _vjp(forward, x, **kwargs)                       reverse-mode derivatives
    _jvp(forward, x, x_dot, tangents, **kwargs)      forward-mode derivatives

Reverse mode. For results (y, fldj) and the gradient (y_bar, fldj_bar) of any number with respect to
them, the pullback gives the gradient with respect to x and to all parameters p. With J = dy/dx:

    x_bar = J^T y_bar + (dfldj/dx)^T fldj_bar
    p_bar = (dy/dp)^T y_bar + (dfldj/dp)^T fldj_bar        summed over the batch

Source: tfp.bijectors.Bijector; for the derivatives, Griewank & Walther 2008, chapter 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from refglow.array_library import is_array, to_host
from refglow.bijectors.derivatives import Pullback, jvp_of_bijector, vjp_of_bijector
from refglow.bijectors.evaluation import Evaluation
from refglow.bijectors.log_det import spread_log_det
from refglow.cotangents import Cotangents, Tangents, unbroadcast
from refglow.dtypes import Array

# pull(result_bar, log_det_bar, bars) -> input_bar; adds the parameters' cotangents to bars.
Pull: TypeAlias = Callable[[Any, Any, Cotangents], Any]


class Bijector(Evaluation):
    """An invertible, differentiable map and its log-det-Jacobian. See the module's text."""

    def __call__(self, value: Any, name: str | None = None, **kwargs: Any) -> Any:
        """Apply to an array, or compose.

        Args:
          value: a distribution (gives a TransformedDistribution), a bijector (gives the Chain
            that applies `value` first), or an array-like (gives `forward(value)`).
          name: the name of what is built.
          **kwargs: passed on to the constructor, or to `forward`.
        """
        from refglow.bijectors.compose import compose
        return compose(self, value, name, **kwargs)

    def __eq__(self, other: object) -> bool:
        """Same type, same arguments, and the same values in all variables: the same function."""
        if self is other:
            return True
        if type(self) is not type(other) or not isinstance(other, Bijector):
            return False
        return (_same(self._parameters, other._parameters)
                and _same(self.state_dict(), other.state_dict()))

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(self._parameters))))

    # ---- derivatives --------------------------------------------------------------------------

    def forward_vjp(self, x: Any, event_ndims: Any = None, memory: str = "store",
                    **kwargs: Any) -> tuple[tuple[Any, Any], Pullback]:
        """(g(x), fldj(x)) and the pullback of that map: reverse-mode differentiation.

            x_bar, param_bars = pullback(y_bar, fldj_bar)

        gives the gradient of the number sum(y_bar * y) + sum(fldj_bar * fldj): with respect to x,
        and to every trainable parameter, by its name in `state_dict()`. Where y_bar and fldj_bar
        are the gradients of a loss, so are the results.

        Args:
          x, event_ndims, **kwargs: as for `forward_and_log_det`.
          memory: what is kept for the pullback. "store": every part's activations; the fastest.
            "checkpoint": the inputs of the outermost parts (a Glow's blocks and exits); a part is
            evaluated once more when its turn comes. "reversible": the result alone; each part's
            input is rebuilt by its inverse. Memory does not grow with the number of parts; rounding
            errors do, and `pullback.drift` says how large they were. Parameters must not make the
            batch larger.

        Returns:
          ((y, fldj), pullback). The pullback can be called repeatedly. It refers to x and to the
          parameters as they are now. If the bijector is not injective, fldj is None.

        Raises:
          TypeError, ValueError: as for `forward`; also if a network has no `vjp` (the pullback
            raises it in the modes that evaluate again), if an ActNorm is not initialised, or if
            `memory` is none of the three or "reversible" does not fit.
          NotImplementedError: for memory="reversible", if the bijector is not injective.
        """
        return vjp_of_bijector(self, x, event_ndims, memory, forward=True, **kwargs)

    def inverse_vjp(self, y: Any, event_ndims: Any = None, memory: str = "store",
                    **kwargs: Any) -> tuple[tuple[Any, Any], Pullback]:
        """(g^-1(y), ildj(y)) and the pullback of that map.

            y_bar, param_bars = pullback(x_bar, ildj_bar)

        Args, Returns, Raises: as for `forward_vjp`, for y; of a bijector that is not injective,
        results and cotangents are tuples.
        """
        return vjp_of_bijector(self, y, event_ndims, memory, forward=False, **kwargs)

    def forward_jvp(self, x: Any, x_dot: Any, param_dots: Mapping[str, Any] | None = None,
                    event_ndims: Any = None,
                    **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """((g(x), fldj(x)), (y_dot, fldj_dot)): forward-mode differentiation.

        (y_dot, fldj_dot) is the derivative of (g, fldj) as x moves in the direction x_dot and the
        parameters in the directions param_dots.

        Args:
          x, event_ndims, **kwargs: as for `forward_and_log_det`.
          x_dot: array-like (structure) of the shape and dtype of x.
          param_dots: {state name: array}; parameters that it does not name stand still.

        Raises:
          TypeError, ValueError: as for `forward_vjp`; also if a tangent does not fit.
        """
        return jvp_of_bijector(self, x, x_dot, param_dots, event_ndims, forward=True, **kwargs)

    def inverse_jvp(self, y: Any, y_dot: Any, param_dots: Mapping[str, Any] | None = None,
                    event_ndims: Any = None,
                    **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """((g^-1(y), ildj(y)), (x_dot, ildj_dot)): forward-mode differentiation of the inverse.

        Args, Returns, Raises: as for `forward_jvp`, for y.
        """
        return jvp_of_bijector(self, y, y_dot, param_dots, event_ndims, forward=False, **kwargs)

    # Derivatives, of `forward` or, if `forward` is False, of `inverse`. The names are those of the
    # direction forward: x is the input and y the result of whichever it is.

    def _vjp(self, forward: bool, *args: Any, **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        """(forward, x, **kwargs) -> ((value, log-det of one minimal event), pull)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _vjp, so no gradient "
                                  "can be taken through it.")

    def _jvp(self, forward: bool, *args: Any,
             **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """(forward, x, x_dot, tangents, **kwargs) -> ((value, log-det), their tangents)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _jvp, so no tangent "
                                  "can be pushed through it.")

    def _event_vjp(self, forward: bool, x: Any, event_ndims: Any,
                   **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        """The same with the log-det summed over `event_ndims`. Compositions override this."""
        return self._summed_vjp(self._vjp(forward, x, **kwargs), forward, x, event_ndims)

    def _summed_vjp(self, results_and_pull: tuple[tuple[Any, Any], Pull], forward: bool, x: Any,
                    event_ndims: Any) -> tuple[tuple[Any, Any], Pull]:
        """What `_vjp` returned, with the log-det summed over `event_ndims`."""
        minimum, _ = self._min_event_ndims(forward)
        (y, log_det), pull = results_and_pull
        total = self._reduced(log_det, x, event_ndims, minimum)
        if not is_array(total):  # not injective
            return (y, total), pull

        def event_pull(y_bar: Any, total_bar: Array, bars: Cotangents) -> Any:
            own = unbroadcast(total_bar, total.shape)  # other parts may have larger batches
            return pull(y_bar, spread_log_det(own, np.shape(log_det), x, event_ndims, minimum,
                                              self.name), bars)
        return (y, total), event_pull

    def _event_vjp_of_boundaries(self, forward: bool, x: Any, event_ndims: Any,
                                 **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        """The same, keeping only x. Compositions override this."""
        values = self._event_values(forward, x, event_ndims, **kwargs)

        def pull(y_bar: Any, log_det_bar: Any, bars: Cotangents) -> Any:
            return self._event_vjp(forward, x, event_ndims, **kwargs)[1](y_bar, log_det_bar, bars)
        return values, pull

    def _pull_back_from_result(self, forward: bool, y: Any, y_bar: Any, log_det_bar: Any,
                               event_ndims: Any, bars: Cotangents,
                               **kwargs: Any) -> tuple[Any, Any]:
        """(x, x_bar) from the result y alone. Compositions and couplings override this."""
        x = (self._inverse if forward else self._forward)(y, **kwargs)
        _, pull = self._event_vjp(forward, x, event_ndims, **kwargs)
        return x, pull(y_bar, log_det_bar, bars)

    def _event_jvp(self, forward: bool, x: Any, x_dot: Any, event_ndims: Any, tangents: Tangents,
                   **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """`_jvp` with both log-dets summed over `event_ndims`. Compositions override this."""
        minimum, _ = self._min_event_ndims(forward)
        (y, log_det), (y_dot, log_det_dot) = self._jvp(forward, x, x_dot, tangents, **kwargs)
        return ((y, self._reduced(log_det, x, event_ndims, minimum)),
                (y_dot, self._reduced(log_det_dot, x, event_ndims, minimum)))

    def _event_values(self, forward: bool, x: Any, event_ndims: Any,
                      **kwargs: Any) -> tuple[Any, Any]:
        evaluate = (self._forward_and_event_log_det if forward
                    else self._inverse_and_event_log_det)
        return evaluate(x, event_ndims, **kwargs)


def checked_bijectors(values: Iterable[Any], owner: str) -> list[Bijector]:
    """`values` as a list.

    Raises:
      TypeError: if one of them is not a bijector.
    """
    parts = list(values)
    for part in parts:
        if not isinstance(part, Bijector):
            raise TypeError(f"{owner}: expected refglow bijectors; got a {type(part).__name__}.")
    return parts


def _same(a: Any, b: Any) -> bool:
    """Equality of (structures of) arguments, arrays compared by shape, dtype and every value."""
    if a is b:
        return True
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if hasattr(a, "__array__") and hasattr(b, "__array__"):
        a, b = to_host(a), to_host(b)
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)
