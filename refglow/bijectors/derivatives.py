"""Taking the derivatives of a whole bijector: modes of memory, checks, and names.

A pullback needs each part's input, and the activations of its networks. There are three ways to
have them (for a flow of n parts):

    store         keep them all                                memory O(n), one evaluation
    checkpoint    keep the inputs of the outermost parts       memory O(blocks) and one block's
    reversible    keep the result; undo part after part        memory O(1), rounding accumulates

"reversible" is what invertibility buys: x = g^-1(y) rebuilds any input from the output. In floating
point each rebuilt input carries the rounding errors of the parts undone so far, so the gradient is
that at a slightly other point. How far off the last of them is, is measured at no cost, because
the first part's input is known:

    drift = max|rebuilt x - x| / max|x|

Source: Gomez et al. 2017, section 3 (reversible); Chen et al. 2016 (checkpoint).
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from refglow.array_library import is_on_gpu, require_one_place, to_host
from refglow.backend import current_backend, use_backend
from refglow.bijectors.evaluation import as_arrays
from refglow.bijectors.log_det import rounded_like
from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import Array, as_array, is_weak, widened
from refglow.structure import flatten, map_structure

if TYPE_CHECKING:
    from refglow.bijectors.bijector import Bijector

Results: TypeAlias = tuple[Any, Any]
# pull(result_bar, log_det_bar, bars) -> (input_bar, drift)
_DriftingPull: TypeAlias = Callable[[Any, Any, Cotangents], tuple[Any, float]]


class MeasuredPull:
    """pull(result_bar, log_det_bar, bars) -> input_bar that measures its drift, and warns of it.

    Attributes:
      drift: of the last call (see the module's text); 0 for modes that rebuild nothing; None
        before the first call.
    """

    def __init__(self, pull: _DriftingPull, name: str,
                 result: Any) -> None:
        """Hold a pull that also returns the drift; the name and the result are for messages."""
        self._pull, self._name, self._result = pull, name, result
        self._backend = current_backend()
        self.drift: float | None = None

    def __call__(self, result_bar: Any, log_det_bar: Any, bars: Cotangents) -> Any:
        """The input's cotangent; the parameters' are added to `bars`."""
        with use_backend(self._backend):  # a walk visits the parts that a kernel computes as one
            pulled, self.drift = self._pull(result_bar, log_det_bar, bars)
        if not self.drift <= drift_limit(self._result):
            warnings.warn(_drift_message(self._name, self.drift, self._result), RuntimeWarning,
                          stacklevel=_level_of_the_caller())
        return pulled


class Pullback:
    """Turns the cotangents of (result, log-det) into those of the input and the parameters."""

    def __init__(self, bijector: Bijector, array: Any, results: Results,
                 pull: MeasuredPull) -> None:
        """Hold what is needed; made by `forward_vjp` and `inverse_vjp`."""
        self._bijector, self._array, self._results, self._pull = bijector, array, results, pull

    @property
    def drift(self) -> float | None:
        """The relative error of the input that memory="reversible" rebuilt in the last call.

        max|rebuilt - given| / max|given|; 0 for the other modes, None before the first call.
        """
        return self._pull.drift

    def __call__(self, result_bar: Any = None,
                 log_det_bar: Any = None) -> tuple[Any, dict[str, Array]]:
        """(input_bar, param_bars).

        Args:
          result_bar: the cotangent of the value: array-like (structure) of its shape and dtype.
          log_det_bar: the cotangent of the log-det, of its shape and dtype. In either, a Python
            number stands for an array filled with it, and None for zeros.

        Returns:
          the cotangent of the input, of its shape and dtype; {state name: cotangent} for every
          trainable parameter, of its shape and dtype. A parameter that stands at several places of
          the model has the sum, under its first name. Do not change these arrays in place: they
          may share memory with each other and with the cotangents given.

        Raises:
          TypeError: if a cotangent is of another dtype.
          ValueError: if it is of another shape or structure.
        """
        name, (result, log_det) = self._bijector.name, self._results
        bars = Cotangents()
        value_bar = as_cotangent(result_bar, result, name, "the cotangent of the value")
        total_bar = as_cotangent(log_det_bar, log_det, name, "the cotangent of the log-det")
        if total_bar is not None:
            total_bar = map_structure(log_det, widened, total_bar)
        pulled = self._pull(value_bar, total_bar, bars)
        return as_arrays(pulled, self._array), bars.named(self._bijector)


def vjp_of_bijector(bijector: Bijector, x: Any, event_ndims: Any, memory: str, *, forward: bool,
                    **kwargs: Any) -> tuple[Results, Pullback]:
    """((value, log-det), pullback) of `forward` or `inverse`; see `Bijector.forward_vjp`."""
    array, ndims = checked_input(bijector, x, event_ndims, forward)
    results, pull = measured_vjp(bijector, forward, array, ndims, memory, kwargs)
    return results, Pullback(bijector, array, results, pull)


def measured_vjp(bijector: Bijector, forward: bool, x: Any, ndims: Any, memory: str,
                 kwargs: Mapping[str, Any]) -> tuple[Results, MeasuredPull]:
    """((value, log-det), pull), in one of the modes of memory.

    Args:
      bijector: what to differentiate.
      forward: whether in the direction forward.
      x, ndims: arrays (structure) and their event ranks, as `checked_input` returns them.
      memory: "store", "checkpoint" or "reversible".
      kwargs: for the nested bijectors, by their names.

    Returns:
      the results, rounded to the type of x, the log-det summed over the events, in nats; and the
      pull, which takes their cotangents and adds the parameters' to a `Cotangents`.

    Raises:
      ValueError: if `memory` is none of the modes.

    Source: as the module.
    """
    if memory not in _MODES:
        raise ValueError(f"{bijector.name}: memory must be one of {', '.join(_MODES)}; "
                         f"got {memory!r}.")
    (value, log_det), pull = _MODES[memory](bijector, forward, x, ndims, kwargs)
    result = as_arrays(value, x)
    return (result, _rounded(log_det, x, ndims)), MeasuredPull(pull, bijector.name, result)


def jvp_of_bijector(bijector: Bijector, x: Any, x_dot: Any, param_dots: Mapping[str, Any] | None,
                    event_ndims: Any, *, forward: bool, **kwargs: Any) -> tuple[Results, Results]:
    """((value, log-det), their tangents); see `Bijector.forward_jvp`."""
    array, ndims = checked_input(bijector, x, event_ndims, forward)
    dot = as_cotangent(x_dot, array, bijector.name, "the tangent of the input", ndims)
    tangents = Tangents.named(bijector, param_dots, bijector.name)
    pairs = bijector._event_jvp(forward, array, dot, ndims, tangents, **kwargs)
    (value, log_det), (value_dot, log_det_dot) = pairs
    return ((as_arrays(value, array), _rounded(log_det, array, ndims)),
            (as_arrays(value_dot, array), _rounded(log_det_dot, array, ndims)))


def as_cotangent(bar: Any, like: Any, owner: str, what: str, template: Any = None) -> Any:
    """`bar` as arrays (structure) of the shapes and dtypes of `like`; numbers fill, None is zero.

    Args:
      bar: the caller's cotangent or tangent.
      like: the array (structure) that it belongs to.
      owner, what: for messages.
      template: the structure of `like`; by default that of its lists, tuples and dicts.

    Raises:
      TypeError, ValueError: if dtype, shape or structure differ.
    """
    def one(part: Any, array: Array) -> Array:
        if part is None:
            return np.zeros_like(array)
        dtype = None if array.dtype.kind == "O" else array.dtype
        given = as_array(part, dtype, owner, what)
        if given.ndim == 0 and is_weak(part):
            given = (np.full_like(array, part) if is_on_gpu(array)
                     else np.broadcast_to(given, array.shape))
        require_one_place(f"{owner}: {what}", given=given, **{"what it belongs to": array})
        if given.shape != array.shape:
            raise ValueError(f"{owner}: {what} has shape {list(given.shape)}; it must have the "
                             f"shape {list(array.shape)} of what it belongs to.")
        return given
    if like is None:
        if bar is not None:
            raise ValueError(f"{owner}: {what} must be None, because there is none: the map is "
                             "not injective.")
        return None
    template = like if template is None else template
    if bar is None:
        return map_structure(template, lambda array: one(None, array), like)
    try:
        flatten(template, bar)
    except ValueError as error:
        raise ValueError(f"{owner}: {what} is not structured like it. {error}") from None
    return map_structure(template, one, bar, like)


def drift_limit(result: Any) -> float:
    """The drift from which `memory="reversible"` warns: sqrt(eps), half of all digits lost.

    Beyond it the gradient's own error, which is the drift times the curvature, can no longer be
    told from a step of ordinary training.
    """
    return max((float(np.finfo(leaf.dtype).eps) ** 0.5
                for leaf in flatten(result, result) if leaf.dtype.kind in "fc"),
               default=float("inf"))


def _level_of_the_caller() -> int:
    """The stack level, for a warning of the function that asks, of the first caller outside."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("refglow."):
        level, frame = level + 1, frame.f_back
    return level


def _drift_message(name: str, drift: float, result: Any) -> str:
    dtype = flatten(result, result)[0].dtype
    return (f"{name}: memory='reversible' rebuilt its input with a relative error of {drift:.2g} "
            f"(limit {drift_limit(result):.2g} in {dtype}). The weights are too ill-conditioned "
            "for it, and the gradient has lost as many digits. Use memory='checkpoint' or "
            "'store', or float64.")


def checked_input(bijector: Bijector, x: Any, event_ndims: Any, forward: bool) -> tuple[Any, Any]:
    """(x as arrays, event_ndims), checked; and that every ActNorm is initialised."""
    from refglow.bijectors.activation_normalization import require_initialized
    ndims = bijector._event_ndims(event_ndims, bijector._min_event_ndims(forward)[0])
    array = bijector._convert(x, "x" if forward else "y", ndims)
    require_initialized(bijector, "a gradient")
    return array, ndims


def _rounded(log_det: Any, array: Any, ndims: Any) -> Any:
    return None if log_det is None else rounded_like(log_det, array, ndims)


def _store(bijector: Bijector, forward: bool, x: Any, ndims: Any,
           kwargs: Mapping[str, Any]) -> tuple[Results, _DriftingPull]:
    results, pull = bijector._event_vjp(forward, x, ndims, **kwargs)
    return results, lambda y_bar, log_det_bar, bars: (pull(y_bar, log_det_bar, bars), 0.0)


def _checkpoint(bijector: Bijector, forward: bool, x: Any, ndims: Any,
                kwargs: Mapping[str, Any]) -> tuple[Results, _DriftingPull]:
    results, pull = bijector._event_vjp_of_boundaries(forward, x, ndims, **kwargs)
    return results, lambda y_bar, log_det_bar, bars: (pull(y_bar, log_det_bar, bars), 0.0)


def _reversible(bijector: Bijector, forward: bool, x: Any, ndims: Any,
                kwargs: Mapping[str, Any]) -> tuple[Results, _DriftingPull]:
    if not bijector.is_injective:
        raise NotImplementedError(f"{bijector.name} is not injective: memory='reversible' cannot "
                                  "rebuild its input. Use memory='store'.")
    y, log_det = bijector._event_values(forward, x, ndims, **kwargs)
    _require_same_batch(bijector, x, ndims, y, bijector._event_ndims_after(forward, ndims))

    def pull(y_bar: Any, log_det_bar: Any, bars: Cotangents) -> tuple[Any, float]:
        rebuilt, x_bar = bijector._pull_back_from_result(forward, y, y_bar, log_det_bar, ndims,
                                                         bars, **kwargs)
        drifts = map(_relative_error, flatten(ndims, rebuilt), flatten(ndims, x))
        return x_bar, float(np.max(list(drifts)))  # NaN if one is
    return (y, log_det), pull


def _require_same_batch(bijector: Bijector, x: Any, x_ndims: Any, y: Any, y_ndims: Any) -> None:
    """Raise ValueError if a part made the batch larger: y then does not tell what x was.

    x rebuilt from y has the larger batch. To each of its examples the pullback would add the whole
    cotangent of a log-det that x's example has once.
    """
    given, found = ([part.shape[:part.ndim - rank] for part, rank in
                     zip(flatten(ndims, arrays), flatten(ndims, ndims), strict=True)]
                    for arrays, ndims in ((x, x_ndims), (y, y_ndims)))
    if given != found and len({*given, *found}) > 1:
        raise ValueError(
            f"{bijector.name}: memory='reversible' cannot rebuild an input of batch shape "
            f"{', '.join(map(str, given))} from a result of {', '.join(map(str, found))}. Repeat "
            "the input to the larger batch shape, or use memory='store'.")


def _relative_error(rebuilt: Array, given: Array) -> float:
    """max|rebuilt - given| / max|given|; NaN if a rebuilt value is not a number."""
    if given.dtype.kind not in "fc" or not given.size:
        return 0.0
    error, scale = to_host(np.stack([np.abs(rebuilt - given).max(), np.abs(given).max()]))
    return float(error / scale) if scale else float(error)


_MODES: Mapping[str, Callable[..., tuple[Results, _DriftingPull]]] = {
    "store": _store, "checkpoint": _checkpoint, "reversible": _reversible}
