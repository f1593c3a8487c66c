"""JointMap: bijectors side by side, each on its own part of a structure.

    JointMap({"a": f, "b": g}).forward({"a": x, "b": z}) = {"a": f(x), "b": g(z)}
    fldj = fldj_f(x) + fldj_g(z)                 the Jacobian is block diagonal

Source: tfp.bijectors.JointMap.
"""

from __future__ import annotations

from typing import Any

from refglow.bijectors.bijector import checked_bijectors
from refglow.bijectors.composition import Composition, Step
from refglow.bijectors.routing import kwargs_for
from refglow.structure import flatten, iterate, map_structure


class JointMap(Composition):
    """A structure of bijectors applied to a structure of inputs. The parts do not interact."""

    def __init__(self, bijectors: Any, validate_args: bool = False,
                 name: str | None = None) -> None:
        """Put bijectors side by side.

        Args:
          bijectors: a non-empty list, tuple or dict of bijectors, nested as you like.
          validate_args: whether to check values.
          name: by default "jointmap_of_" and the parts' names, joined by "_and_".

        Raises:
          TypeError: if one of them is not a bijector.
          ValueError: if there are none, or if two compute in different dtypes.
        """
        parts = checked_bijectors((part for _, part in iterate(bijectors)), "JointMap")
        if not parts:
            raise ValueError("JointMap needs at least one bijector.")
        self._flat = parts
        super().__init__(
            bijectors, structure=map_structure(bijectors, lambda _: None, bijectors),
            validate_args=validate_args,
            name=name or "jointmap_of_" + "_and_".join(part.name for part in parts),
            parameters=dict(bijectors=bijectors, validate_args=validate_args, name=name))

    def _walk_forward(self, step: Step, x: Any, **kwargs: Any) -> Any:
        by_name = kwargs_for(self.name, self._flat, kwargs)
        return map_structure(self._bijectors,
                             lambda part, value: step(part, value, **by_name(part)),
                             self._bijectors, x)

    def _walk_inverse(self, step: Step, y: Any, **kwargs: Any) -> Any:
        by_name = kwargs_for(self.name, self._flat, kwargs)
        pairs = list(zip(self._flat, flatten(self._bijectors, y), strict=True))
        results = [step(part, value, **by_name(part)) for part, value in reversed(pairs)]
        return map_structure(self._bijectors, lambda _: results.pop(), self._bijectors)
