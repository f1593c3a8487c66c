"""Chain: bijectors applied one after another.

    Chain([f, g, h]).forward(x) = f(g(h(x)))        the last of the list acts first
    fldj(x) = fldj_h(x) + fldj_g(h(x)) + fldj_f(g(h(x)))

Source: tfp.bijectors.Chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from refglow.bijectors.bijector import Bijector, checked_bijectors
from refglow.bijectors.composition import Composition, Step
from refglow.bijectors.invert import Invert
from refglow.bijectors.normalized_conv import NormalizedConv, folded
from refglow.bijectors.routing import kwargs_for


class Chain(Composition):
    """The composition of a list of bijectors, applied from the end of the list to its start.

    >>> import refglow as rg
    >>> chain = rg.bijectors.Chain([rg.bijectors.Exp(), rg.bijectors.Shift(1.0)])
    >>> float(chain.forward(-1.0))
    1.0
    """

    def __init__(self, bijectors: Sequence[Bijector] | None = None, validate_args: bool = False,
                 validate_event_size: bool = False, name: str | None = None,
                 members: Mapping[str, Any] | None = None) -> None:
        """Compose `bijectors`; an empty list gives the identity.

        Args:
          bijectors: the parts; the last acts first in `forward`.
          validate_args: whether to check values.
          validate_event_size: whether to report parts that act on dependent numbers.
          name: by default "chain_of_" and the parts' names, joined by "_of_".
          members: names for the parts in `state_dict`; by default their positions.

        Raises:
          TypeError: if `bijectors` is not a list of bijectors.
          ValueError: if two parts compute in different dtypes.
        """
        if isinstance(bijectors, Bijector):
            raise TypeError("Chain: expected a list of bijectors, [bijector]; got a bijector.")
        parts = checked_bijectors(bijectors or [], "Chain")
        default = "_of_".join(["chain", *(part.name for part in parts)]) if parts else "identity"
        self._folded = folded(parts)
        self._pairs = [part.bijector for part in self._folded if type(part) is Invert
                       and isinstance(part.bijector, NormalizedConv)]
        super().__init__(
            parts, validate_args=validate_args, validate_event_size=validate_event_size,
            members=members, name=name or default,
            parameters=dict(bijectors=parts, validate_args=validate_args,
                            validate_event_size=validate_event_size, name=name))

    def _walk_forward(self, step: Step, x: Any, **kwargs: Any) -> Any:
        by_name = kwargs_for(self.name, self._bijectors, kwargs)
        for part in reversed(self._parts_for(x, kwargs)):
            x = step(part, x, **by_name(part))
        return x

    def _walk_inverse(self, step: Step, y: Any, **kwargs: Any) -> Any:
        by_name = kwargs_for(self.name, self._bijectors, kwargs)
        for part in self._parts_for(y, kwargs):
            y = step(part, y, **by_name(part))
        return y

    def _parts_for(self, x: Any, kwargs: Mapping[str, Any]) -> Sequence[Bijector]:
        """What to visit with x, an array or what carries one (or a shape, or a dtype).

        Where a kernel computes an ActNorm and a 1x1 convolution as one map, that is one part.
        """
        array = getattr(x, "array", x)
        parts: Sequence[Bijector] = self._bijectors
        if not self._pairs or not hasattr(array, "strides"):
            return parts
        foldable = all(pair.computes(array, kwargs) for pair in self._pairs)
        return self._folded if foldable else parts
