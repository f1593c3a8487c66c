"""Bijectors made of bijectors: how values, ranks, shapes and log-dets travel through them.

A composition says only in which order its parts act: `_walk_forward(step, x)` calls
`step(bijector, input)` for each part and routes the results. Everything else is one walk with a
different step. The log-det is the sum of the parts' log-dets (chain rule: the determinant of a
product is the product of the determinants), each taken over the event rank that reaches that part.

Source: tfp.bijectors.Composition.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector, Pull
from refglow.bijectors.composition_derivatives import (
    Part,
    array_of,
    boundaries_vjp,
    event_ndims_of,
    pull_back_from_result,
    stored_vjp,
    walked_jvp,
)
from refglow.bijectors.log_det import sum_log_dets
from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import common_dtype
from refglow.structure import flatten, is_nested, iterate, map_structure

Step = Callable[..., Any]


@dataclass(frozen=True)
class _Needs:
    """The ranks that a walk so far demands at this point, and whether parts interact."""

    ndims: Any
    parts_interact: bool


class Composition(Bijector):
    """Base of Chain, JointMap, Blockwise and of bijectors that are a chain in disguise."""

    def __init__(self, bijectors: Any, *, name: str, parameters: Mapping[str, Any],
                 structure: Any = None, members: Mapping[str, Any] | None = None,
                 validate_args: bool = False, validate_event_size: bool = False,
                 dtype: Any = None) -> None:
        """Compose.

        Args:
          bijectors: the parts: a structure of bijectors for which the subclass defines the walks,
            or one Composition, which then does the walking.
          name, parameters, validate_args, dtype: as for Bijector.
          structure: a structure of None like the inputs' at the level of the parts.
          members: names for the parts in `state_dict`; by default their positions.
          validate_event_size: warn (with validate_args: raise) when a part acts on numbers that
            are not independent, as after Pad; its log-det would then be wrong.
        """
        self._name = name  # the walks below already name it in messages
        self._bijectors = bijectors
        self._validate_event_size = validate_event_size
        parts = [part for _, part in iterate(bijectors)]
        self._is_injective = all(part.is_injective for part in parts)
        self._is_permutation = all(part.is_permutation for part in parts)
        if members is None:
            members = dict(iterate(bijectors))
        super().__init__(
            forward_min_event_ndims=self._infer_min_event_ndims(structure, forward=True),
            inverse_min_event_ndims=self._infer_min_event_ndims(structure, forward=False),
            is_constant_jacobian=all(part.is_constant_jacobian for part in parts),
            validate_args=validate_args, parameters=parameters, members=members, name=name,
            dtype=dtype if dtype is not None else common_dtype([p.dtype for p in parts], name))

    @property
    def bijectors(self) -> Any:
        """The parts, in the structure they were given in."""
        if isinstance(self._bijectors, Composition):
            return self._bijectors.bijectors
        return self._bijectors

    @property
    def validate_event_size(self) -> bool:
        """Whether parts that act on dependent numbers are reported."""
        return self._validate_event_size

    @property
    def is_injective(self) -> bool:
        """Whether every part is injective."""
        return self._is_injective

    @property
    def is_permutation(self) -> bool:
        """Whether every part only rearranges."""
        return self._is_permutation

    @property
    def parts_interact(self) -> bool:
        """Whether any part lets its own inputs interact."""
        return any(part.parts_interact for _, part in iterate(self.bijectors))

    @property
    def submodules(self) -> tuple[Any, ...]:
        """All bijectors and networks inside, each before its own, in the order of the parts."""
        found: dict[int, Any] = {}  # by identity, in order
        for child in [part for _, part in iterate(self._bijectors)] + list(self._children()):
            for module in (child, *getattr(child, "submodules", ())):
                found.setdefault(id(module), module)
        return tuple(found.values())

    # ---- walks --------------------------------------------------------------------------------

    def _walk_forward(self, step: Step, x: Any, **kwargs: Any) -> Any:
        """Call step(part, input, **kwargs of the part) in forward order; returns the output."""
        return self._bijectors._walk_forward(step, x, **kwargs)

    def _walk_inverse(self, step: Step, y: Any, **kwargs: Any) -> Any:
        """The same in inverse order."""
        return self._bijectors._walk_inverse(step, y, **kwargs)

    def _forward(self, x: Any, **kwargs: Any) -> Any:
        def step(part: Bijector, value: Any, **kw: Any) -> Any:
            try:
                part._check_values(value, "x", part.forward_min_event_ndims)
                return part._forward(value, **kw)
            except (ValueError, TypeError) as error:
                self._say_where(error, part)
                raise
        return self._walk_forward(step, x, **kwargs)

    def _inverse(self, y: Any, **kwargs: Any) -> Any:
        self._require_injective()

        def step(part: Bijector, value: Any, **kw: Any) -> Any:
            try:
                part._check_values(value, "y", part.inverse_min_event_ndims)
                return part._inverse(value, **kw)
            except (ValueError, TypeError) as error:
                self._say_where(error, part)
                raise
        return self._walk_inverse(step, y, **kwargs)

    def _forward_and_log_det(self, x: Any, **kwargs: Any) -> tuple[Any, Any]:
        return self._forward_and_event_log_det(x, self._forward_min_event_ndims, **kwargs)

    def _inverse_and_log_det(self, y: Any, **kwargs: Any) -> tuple[Any, Any]:
        return self._inverse_and_event_log_det(y, self._inverse_min_event_ndims, **kwargs)

    def _forward_and_event_log_det(self, x: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        return self._walk_with_log_det(_values_forward, True, x, event_ndims, **kwargs)

    def _inverse_and_event_log_det(self, y: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        return self._walk_with_log_det(_values_inverse, False, y, event_ndims, **kwargs)

    def _say_where(self, error: Exception, part: Bijector) -> None:
        """Add to an error from `part` where it is, by the name it has in `state_dict`."""
        inside = (part, getattr(part, "bijector", None), *getattr(part, "bijectors", ()))
        places = [name for name, member in self._members.items()
                  if name and any(member is one for one in inside)]
        error.add_note(f"(in {self.name}, at {places[0] if places else part.name})")

    def _require_injective(self) -> None:
        if not self.is_injective:
            raise NotImplementedError(
                f"{self.name}: a composition with a non-injective part has no inverse; "
                "invert the parts one at a time.")

    def _walk_with_log_det(self, evaluate: Step, forward: bool, x: Any, event_ndims: Any,
                           **kwargs: Any) -> tuple[Any, Any]:
        """One walk that carries each array with its event rank and adds up the log-dets.

        evaluate(part, arrays, event_ndims, **kwargs of the part) gives the part's values and
        log-det.
        """
        total: list[Any] = []  # the sum so far: one array, however many parts there are
        if not forward:
            self._require_injective()
        in_template, out_template = self._min_event_ndims(forward)

        def step(part: Bijector, inputs: Any, **kw: Any) -> Any:
            template, _ = part._min_event_ndims(forward)
            arrays = map_structure(template, array_of, inputs)
            ndims = map_structure(template, event_ndims_of, inputs)
            redundant = self._check_redundancy(part, template, inputs)
            try:
                part._check_values(arrays, "x" if forward else "y", template)
                values, log_det = evaluate(part, arrays, ndims, **kw)
            except (ValueError, TypeError) as error:
                self._say_where(error, part)
                raise
            total[:] = [sum_log_dets([*total, log_det], x, event_ndims, in_template)]
            return self._outputs(part, forward, inputs, values, ndims, redundant)

        start = map_structure(in_template, Part, x, event_ndims)
        outputs = self._walk(forward)(step, start, **kwargs)
        values = map_structure(out_template, array_of, outputs)
        return values, sum_log_dets(total, x, event_ndims, in_template)

    def _walk(self, forward: bool) -> Step:
        """The walk in that direction."""
        return self._walk_forward if forward else self._walk_inverse

    def _outputs(self, part: Bijector, forward: bool, inputs: Any, values: Any, ndims: Any,
                 redundant: bool) -> Any:
        """What `part` gave, as the inputs (structure) of the next."""
        template, _ = part._min_event_ndims(forward)
        ndims_out = part._event_ndims_after(forward, ndims)
        outputs = map_structure(ndims_out, Part, values, ndims_out)
        if self._validate_event_size and (
                redundant or _event_size(ndims_out, outputs) > _event_size(template, inputs)):
            for output in flatten(ndims_out, outputs):
                output.redundant = True
        return outputs

    def _check_redundancy(self, part: Bijector, template: Any, inputs: Any) -> bool:
        """Whether the inputs hold dependent numbers; it is known, and reported, if asked for."""
        if not self._validate_event_size:
            return False
        redundant = any(p.redundant for p in flatten(template, inputs))
        if redundant and not part.is_permutation:
            message = (f"{self.name}: the part {part.name!r} acts on an event with more numbers "
                       "than degrees of freedom; its log-det may be wrong.")
            if self.validate_args:
                raise ValueError(message)
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return redundant

    # ---- derivatives: see composition_derivatives.py ------------------------------------------

    def _event_vjp(self, forward: bool, x: Any, event_ndims: Any,
                   **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        return stored_vjp(self, forward, x, event_ndims, **kwargs)

    def _event_vjp_of_boundaries(self, forward: bool, x: Any, event_ndims: Any,
                                 **kwargs: Any) -> tuple[tuple[Any, Any], Pull]:
        return boundaries_vjp(self, forward, x, event_ndims, **kwargs)

    def _pull_back_from_result(self, forward: bool, y: Any, y_bar: Any, log_det_bar: Any,
                               event_ndims: Any, bars: Cotangents,
                               **kwargs: Any) -> tuple[Any, Any]:
        return pull_back_from_result(self, forward, y, y_bar, log_det_bar, event_ndims, bars,
                                     **kwargs)

    def _event_jvp(self, forward: bool, x: Any, x_dot: Any, event_ndims: Any, tangents: Tangents,
                   **kwargs: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        return walked_jvp(self, forward, x, x_dot, event_ndims, tangents, **kwargs)

    # ---- shapes, dtypes, ranks ----------------------------------------------------------------

    def _forward_event_shape(self, shape: Any) -> Any:
        return self._walk_forward(lambda part, s, **_: part.forward_event_shape(s), shape)

    def _inverse_event_shape(self, shape: Any) -> Any:
        return self._walk_inverse(lambda part, s, **_: part.inverse_event_shape(s), shape)

    def _forward_dtype(self, dtype: Any, **kwargs: Any) -> Any:
        return self._walk_forward(lambda part, d, **kw: part.forward_dtype(d, **kw), dtype,
                                  **kwargs)

    def _inverse_dtype(self, dtype: Any, **kwargs: Any) -> Any:
        return self._walk_inverse(lambda part, d, **kw: part.inverse_dtype(d, **kw), dtype,
                                  **kwargs)

    def forward_event_ndims(self, event_ndims: Any, **kwargs: Any) -> Any:
        """As in the base class; parts that do not interact may have ranks of their own."""
        if is_nested(event_ndims) and not self.parts_interact:
            return self._walk_forward(lambda part, n, **kw: part.forward_event_ndims(n, **kw),
                                      event_ndims, **kwargs)
        return super().forward_event_ndims(event_ndims, **kwargs)

    def inverse_event_ndims(self, event_ndims: Any, **kwargs: Any) -> Any:
        """As in the base class; parts that do not interact may have ranks of their own."""
        if is_nested(event_ndims) and not self.parts_interact:
            return self._walk_inverse(lambda part, n, **kw: part.inverse_event_ndims(n, **kw),
                                      event_ndims, **kwargs)
        return super().inverse_event_ndims(event_ndims, **kwargs)

    def parameter_batch_shape(self, x_event_ndims: Any) -> tuple[int, ...]:
        """The parts' parameter batch shapes, broadcast together."""
        shapes: list[tuple[int, ...]] = []

        def step(part: Bijector, ndims: Any, **_: Any) -> Any:
            shapes.append(part.parameter_batch_shape(ndims))
            return part.forward_event_ndims(ndims)

        self._walk_forward(step, x_event_ndims)
        return np.broadcast_shapes(*shapes)

    def _infer_min_event_ndims(self, structure: Any, *, forward: bool) -> Any:
        """The least ranks at the input (forward) or output such that every part gets enough.

        Walk from the far end towards the asked end. At each part, what is demanded downstream and
        what the part itself needs are brought together (`_joint_ndims`) and pulled through it.
        """
        def step(part: Bijector, needs: _Needs | None, **_: Any) -> _Needs:
            near, far = ((part.forward_min_event_ndims, part.inverse_min_event_ndims) if forward
                         else (part.inverse_min_event_ndims, part.forward_min_event_ndims))
            if needs is None:
                return _Needs(near, part.parts_interact)
            pull = part.inverse_event_ndims if forward else part.forward_event_ndims
            joint = _joint_ndims(needs, far, part.parts_interact)
            return _Needs(pull(joint), needs.parts_interact or part.parts_interact)

        walk = self._walk_inverse if forward else self._walk_forward
        result = walk(step, structure)
        if result is None:
            return 0  # no parts at all: the identity on scalars
        return map_structure(structure, lambda needs: needs.ndims, result)

    def __repr__(self) -> str:
        inner = ", ".join(repr(part) for _, part in iterate(self.bijectors))
        return f"{super().__repr__()[:-1]}, bijectors=[{inner}])"


def _joint_ndims(needs: _Needs, own: Any, own_interact: bool) -> Any:
    """The least ranks that satisfy both `needs` and the part's `own` minimum.

    Where parts interact, all of them must be raised by the same number of dimensions.
    """
    differences = [n - o for n, o in zip(flatten(own, needs.ndims), flatten(own, own), strict=True)]
    if needs.parts_interact:
        lift = max(0, -min(differences))
        return map_structure(own, lambda n: n + lift, needs.ndims)
    if own_interact:
        lift = max(0, *differences)
        return map_structure(own, lambda n: n + lift, own)
    return map_structure(own, max, needs.ndims, own)


def _event_size(template: Any, parts: Any) -> int:
    """How many numbers one event has, in all its parts."""
    return sum(part.event_size for part in flatten(template, parts))


def _values_forward(part: Bijector, x: Any, event_ndims: Any, **kwargs: Any) -> tuple[Any, Any]:
    return part._forward_and_event_log_det(x, event_ndims, **kwargs)


def _values_inverse(part: Bijector, y: Any, event_ndims: Any, **kwargs: Any) -> tuple[Any, Any]:
    return part._inverse_and_event_log_det(y, event_ndims, **kwargs)
