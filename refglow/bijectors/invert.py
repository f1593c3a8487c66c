"""Invert: a bijector with its two directions exchanged.

    Invert(g).forward(x) = g^-1(x)        fldj of Invert(g) = ildj of g
    Invert(g).inverse(y) = g(y)           ildj of Invert(g) = fldj of g

Source: tfp.bijectors.Invert.
"""

from __future__ import annotations

from typing import Any

from refglow.bijectors.bijector import Bijector, Pull, checked_bijectors
from refglow.bijectors.signature import UNSPECIFIED
from refglow.cotangents import Cotangents, Tangents


class Invert(Bijector):
    """The inverse of a bijector, as a bijector.

    >>> import refglow as rg
    >>> float(rg.bijectors.Invert(rg.bijectors.Scale(scale=2.0)).forward(3.0))
    1.5
    """

    def __init__(self, bijector: Bijector, validate_args: bool = False,
                 name: str | None = None, parameters: dict[str, Any] | None = None) -> None:
        """Invert `bijector`.

        Args:
          bijector: the bijector to invert; it must be injective.
          validate_args: whether to check values.
          name: by default "invert_" and the bijector's name.
          parameters: the arguments of a subclass that is an Invert in disguise.

        Raises:
          TypeError: if it is not a bijector.
          NotImplementedError: if `bijector` is not injective.
        """
        (bijector,) = checked_bijectors([bijector], "Invert")
        if not bijector.is_injective:
            raise NotImplementedError(f"{bijector.name} is not injective and has no inverse map.")
        self._bijector = bijector
        super().__init__(
            forward_min_event_ndims=bijector.inverse_min_event_ndims,
            inverse_min_event_ndims=bijector.forward_min_event_ndims,
            is_constant_jacobian=bijector.is_constant_jacobian, validate_args=validate_args,
            dtype=bijector.dtype, members={"": bijector}, name=name or f"invert_{bijector.name}",
            parameters=parameters or dict(bijector=bijector, validate_args=validate_args,
                                          name=name))

    @property
    def bijector(self) -> Bijector:
        """The bijector that is inverted."""
        return self._bijector

    @property
    def is_permutation(self) -> bool:
        """As the inverted bijector."""
        return self._bijector.is_permutation

    @property
    def parts_interact(self) -> bool:
        """As the inverted bijector."""
        return self._bijector.parts_interact

    def _forward(self, x: Any, **kwargs: Any) -> Any:
        return self._bijector._inverse(x, **kwargs)

    def _inverse(self, y: Any, **kwargs: Any) -> Any:
        return self._bijector._forward(y, **kwargs)

    def _forward_and_log_det(self, x: Any, **kwargs: Any) -> tuple[Any, Any]:
        return self._bijector._inverse_and_log_det(x, **kwargs)

    def _inverse_and_log_det(self, y: Any, **kwargs: Any) -> tuple[Any, Any]:
        return self._bijector._forward_and_log_det(y, **kwargs)

    def _forward_and_event_log_det(self, x: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        return self._bijector._inverse_and_event_log_det(x, event_ndims, **kwargs)

    def _inverse_and_event_log_det(self, y: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        return self._bijector._forward_and_event_log_det(y, event_ndims, **kwargs)

    def _vjp(self, forward: bool, x: Any, **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        return self._bijector._vjp(not forward, x, **kwargs)

    def _event_vjp(self, forward: bool, x: Any, event_ndims: Any,
                   **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        return self._bijector._event_vjp(not forward, x, event_ndims, **kwargs)

    def _event_vjp_of_boundaries(self, forward: bool, x: Any, event_ndims: Any,
                                 **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        return self._bijector._event_vjp_of_boundaries(not forward, x, event_ndims, **kwargs)

    def _pull_back_from_result(self, forward: bool, y: Any, y_bar: Any, log_det_bar: Any,
                               event_ndims: Any, bars: Cotangents,
                               **kwargs: Any) -> tuple[Any, Any]:
        return self._bijector._pull_back_from_result(not forward, y, y_bar, log_det_bar,
                                                     event_ndims, bars, **kwargs)

    def _jvp(self, forward: bool, x: Any, x_dot: Any, tangents: Tangents,
             **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        return self._bijector._jvp(not forward, x, x_dot, tangents, **kwargs)

    def _event_jvp(self, forward: bool, x: Any, x_dot: Any, event_ndims: Any, tangents: Tangents,
                   **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        return self._bijector._event_jvp(not forward, x, x_dot, event_ndims, tangents, **kwargs)

    def _check_domain(self, array: Any, what: str) -> None:
        self._bijector._check_domain(array, _other_side(what))

    def _check_values(self, arrays: Any, what: str, template: Any) -> None:
        super()._check_values(arrays, what, template)
        self._bijector._check_values(arrays, _other_side(what), template)

    def _forward_event_shape(self, shape: Any) -> Any:
        return self._bijector.inverse_event_shape(shape)

    def _inverse_event_shape(self, shape: Any) -> Any:
        return self._bijector.forward_event_shape(shape)

    def forward_dtype(self, dtype: Any = UNSPECIFIED, name: str = "forward_dtype",
                      **kwargs: Any) -> Any:
        """The inverted bijector's `inverse_dtype`."""
        return self._bijector.inverse_dtype(dtype, **kwargs)

    def inverse_dtype(self, dtype: Any = UNSPECIFIED, name: str = "inverse_dtype",
                      **kwargs: Any) -> Any:
        """The inverted bijector's `forward_dtype`."""
        return self._bijector.forward_dtype(dtype, **kwargs)

    def forward_event_ndims(self, event_ndims: Any, **kwargs: Any) -> Any:
        """The inverted bijector's `inverse_event_ndims`."""
        return self._bijector.inverse_event_ndims(event_ndims, **kwargs)

    def inverse_event_ndims(self, event_ndims: Any, **kwargs: Any) -> Any:
        """The inverted bijector's `forward_event_ndims`."""
        return self._bijector.forward_event_ndims(event_ndims, **kwargs)

    def parameter_batch_shape(self, x_event_ndims: Any) -> tuple[int, ...]:
        """The inverted bijector's parameters' batch shape."""
        ndims = self._bijector.inverse_event_ndims(x_event_ndims)
        return self._bijector.parameter_batch_shape(ndims)

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, bijector={self._bijector!r})"


def _other_side(what: str) -> str:
    """What the inverted bijector calls its input."""
    return "x" if what == "y" else "y"
