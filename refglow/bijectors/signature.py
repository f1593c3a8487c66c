"""What a bijector takes and gives: ranks, shapes, number types, and its name.

Everything that can be said of a bijector without computing: TFP's attributes, and the methods that
map event shapes, event ranks and dtypes from one side to the other.

Source: tfp.bijectors.Bijector.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.bijectors.log_det import reduction_ndims
from refglow.dtypes import DType, canonical_dtype
from refglow.event_shape import EventShape
from refglow.module import Module
from refglow.structure import broadcast_structure, flatten, is_nested, map_structure
from refglow.variable import NameScope

UNSPECIFIED: Any = object()


class Signature(Module):
    """The attributes and shape methods of all bijectors."""

    def __init__(self, *, forward_min_event_ndims: Any, inverse_min_event_ndims: Any = UNSPECIFIED,
                 is_constant_jacobian: bool = False, validate_args: bool = False,
                 dtype: npt.DTypeLike | None = None, parameters: Mapping[str, Any] | None = None,
                 members: Mapping[str, Any] | None = None, name: str | None = None) -> None:
        """Set what all bijectors share.

        Args:
          forward_min_event_ndims: how many dimensions one event of x has at least; for a bijector
            with several inputs, a structure of ints, which also says what inputs it takes.
          inverse_min_event_ndims: the same for y; by default as for x.
          is_constant_jacobian: whether the Jacobian does not depend on the input.
          validate_args: whether to check values (finite, in the domain), not only shapes.
          dtype: the number type it computes in; None if it takes that of its input.
          parameters: the arguments it was built with, by name.
          members: the variables, bijectors and networks inside it, by the name under which their
            parameters appear in `state_dict`; anything else in it is ignored.
          name: its name; by default the class's, in lower_snake_case.
        """
        super().__init__(members or {})
        self._forward_min_event_ndims = forward_min_event_ndims
        self._inverse_min_event_ndims = (
            forward_min_event_ndims if inverse_min_event_ndims is UNSPECIFIED
            else inverse_min_event_ndims)
        self._is_constant_jacobian = is_constant_jacobian
        self._validate_args = validate_args
        self._dtype = canonical_dtype(dtype)
        self._parameters = dict(parameters or {})
        self._name = name or _lower_snake(type(self).__name__)

    # ---- attributes ---------------------------------------------------------------------------

    @property
    def forward_min_event_ndims(self) -> Any:
        """The least number of dimensions of an event that `forward` takes (structure of ints)."""
        return self._forward_min_event_ndims

    @property
    def inverse_min_event_ndims(self) -> Any:
        """The least number of dimensions of an event that `inverse` takes (structure of ints)."""
        return self._inverse_min_event_ndims

    @property
    def has_static_min_event_ndims(self) -> bool:
        """Whether both min_event_ndims are known; in refglow they always are."""
        both = [self.forward_min_event_ndims, self.inverse_min_event_ndims]
        return all(isinstance(n, int) for ndims in both for n in flatten(ndims, ndims))

    @property
    def is_constant_jacobian(self) -> bool:
        """Whether the Jacobian is the same for every input."""
        return self._is_constant_jacobian

    @property
    def is_injective(self) -> bool:
        """Whether different inputs give different outputs. If not, `inverse` returns a tuple."""
        return True

    @property
    def is_permutation(self) -> bool:
        """Whether the outputs are the inputs rearranged."""
        return False

    @property
    def parts_interact(self) -> bool:
        """Whether the parts of a structured input influence each other's outputs."""
        return is_nested(self.forward_min_event_ndims) or is_nested(self.inverse_min_event_ndims)

    @property
    def validate_args(self) -> bool:
        """Whether values are checked on every call."""
        return self._validate_args

    @property
    def dtype(self) -> DType | None:
        """The number type of inputs and outputs; None if any is taken."""
        return self._dtype

    @property
    def name(self) -> str:
        """The bijector's name, by which compositions route keyword arguments."""
        return self._name

    @property
    def name_scope(self) -> NameScope:
        """A context manager that puts this bijector's name in front of new variables' names."""
        return NameScope(self.name)

    @property
    def graph_parents(self) -> list[Any]:
        """Always empty: there is no graph. Kept because TFP documents it."""
        return []

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments the bijector was built with."""
        return dict(self._parameters)

    @classmethod
    def with_name_scope(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a method so that variables it creates are named after the object.

        Kept because TFP documents it, for classes of users' own; refglow does not use it.
        """
        @functools.wraps(method)
        def scoped(self: Any, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)
        return scoped

    def __repr__(self) -> str:
        ndims = (f"min_event_ndims={self.forward_min_event_ndims}"
                 if self.forward_min_event_ndims == self.inverse_min_event_ndims else
                 f"forward_min_event_ndims={self.forward_min_event_ndims}, "
                 f"inverse_min_event_ndims={self.inverse_min_event_ndims}")
        dtype = f", dtype={self.dtype}" if self.dtype is not None else ""
        return f'refglow.bijectors.{type(self).__name__}("{self.name}", {ndims}{dtype})'

    # ---- shapes, dtypes, ranks ----------------------------------------------------------------

    def forward_event_shape(self, input_shape: Any) -> Any:
        """The event shape of y, given that of x (sizes may be None).

        Returns:
          EventShape (structure).

        Raises:
          ValueError: if no event of that shape can be an input.
        """
        return self._forward_event_shape(
            self._event_shape_of(input_shape, self.forward_min_event_ndims))

    def inverse_event_shape(self, output_shape: Any) -> Any:
        """The event shape of x, given that of y; otherwise as `forward_event_shape`."""
        return self._inverse_event_shape(
            self._event_shape_of(output_shape, self.inverse_min_event_ndims))

    def forward_event_shape_tensor(self, input_shape: Any,
                                   name: str = "forward_event_shape_tensor") -> Any:
        """`forward_event_shape` as int32 vectors; every size must be known."""
        return map_structure(self.inverse_min_event_ndims, EventShape.as_tensor,
                             self.forward_event_shape(input_shape))

    def inverse_event_shape_tensor(self, output_shape: Any,
                                   name: str = "inverse_event_shape_tensor") -> Any:
        """`inverse_event_shape` as int32 vectors; every size must be known."""
        return map_structure(self.forward_min_event_ndims, EventShape.as_tensor,
                             self.inverse_event_shape(output_shape))

    def forward_dtype(self, dtype: Any = UNSPECIFIED, name: str = "forward_dtype",
                      **kwargs: Any) -> Any:
        """The dtype (structure) of `forward`'s result for an input of `dtype`; None: any.

        Raises:
          TypeError: if the bijector computes in another dtype.
        """
        return self._forward_dtype(self._known_dtype(dtype, self.forward_min_event_ndims), **kwargs)

    def inverse_dtype(self, dtype: Any = UNSPECIFIED, name: str = "inverse_dtype",
                      **kwargs: Any) -> Any:
        """The dtype (structure) of `inverse`'s result for an input of `dtype`; None: any."""
        return self._inverse_dtype(self._known_dtype(dtype, self.inverse_min_event_ndims), **kwargs)

    def forward_event_ndims(self, event_ndims: Any, **kwargs: Any) -> Any:
        """How many event dimensions y has if x has `event_ndims`; None stands for unknown."""
        return _shifted_ndims(event_ndims, self.forward_min_event_ndims,
                              self.inverse_min_event_ndims, self.name)

    def inverse_event_ndims(self, event_ndims: Any, **kwargs: Any) -> Any:
        """How many event dimensions x has if y has `event_ndims`; None stands for unknown."""
        return _shifted_ndims(event_ndims, self.inverse_min_event_ndims,
                              self.forward_min_event_ndims, self.name)

    def parameter_batch_shape(self, x_event_ndims: int) -> tuple[int, ...]:
        """The batch shape that the parameters add to a single event of `x_event_ndims`.

        Example: `Shift([-1., 0., 1.])` has (3,) for scalar events and () for vectors.
        """
        extra = x_event_ndims - max(flatten(self.forward_min_event_ndims,
                                            self.forward_min_event_ndims))
        shapes = [np.shape(value)[:max(0, np.ndim(value) - ndims - extra)]
                  for value, ndims in self._parameter_event_ndims().values()]
        return np.broadcast_shapes(*shapes)

    # ---- what subclasses implement ------------------------------------------------------------

    def _forward_event_shape(self, shape: Any) -> Any:
        return shape

    def _inverse_event_shape(self, shape: Any) -> Any:
        return shape

    def _forward_dtype(self, dtype: Any, **kwargs: Any) -> Any:
        return dtype

    def _inverse_dtype(self, dtype: Any, **kwargs: Any) -> Any:
        return dtype

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        """For each parameter with a batch shape: its value and its own event rank."""
        return {}

    # ---- by direction -------------------------------------------------------------------------

    def _min_event_ndims(self, forward: bool) -> tuple[Any, Any]:
        """The least ranks (structures) of what goes in and of what comes out in a direction."""
        if forward:
            return self._forward_min_event_ndims, self._inverse_min_event_ndims
        return self._inverse_min_event_ndims, self._forward_min_event_ndims

    def _event_ndims_after(self, forward: bool, event_ndims: Any) -> Any:
        """The ranks that come out, given those that go in."""
        return (self.forward_event_ndims if forward else self.inverse_event_ndims)(event_ndims)

    # ---- checks -------------------------------------------------------------------------------

    def _event_ndims(self, event_ndims: Any, minimum: Any) -> Any:
        """`event_ndims` checked against the minimum; the minimum itself if None."""
        if event_ndims is None:
            return minimum
        self._check_structure(event_ndims, minimum, "event_ndims")
        try:
            checked = map_structure(minimum, operator.index, event_ndims)
        except TypeError:
            raise TypeError(f"{self.name}: event_ndims must be integers like {minimum}; "
                            f"got {event_ndims!r}.") from None
        for given, least in zip(flatten(minimum, checked), flatten(minimum, minimum), strict=True):
            if given < least:
                raise ValueError(f"{self.name}: event_ndims must be at least {minimum}; "
                                 f"got {event_ndims}.")
        return checked

    def _check_structure(self, value: Any, template: Any, what: str) -> None:
        try:
            flatten(template, value)
        except ValueError as error:
            raise ValueError(f"{self.name}: {what} is not structured like the event. "
                             f"{error}") from None

    def _event_shape_of(self, shape: Any, minimum: Any) -> Any:
        """The caller's event shape, checked to have enough dimensions."""
        self._check_structure(shape, minimum, "the event shape")

        def one(part: Any, least: int) -> EventShape:
            if part is None:
                raise ValueError(f"{self.name}: the rank of the event must be known; write "
                                 f"{(None,) * least} for an event of unknown sizes.")
            sizes = EventShape(part)
            if sizes.rank < least:
                raise ValueError(f"{self.name}: an event of shape {tuple(sizes)} has fewer than "
                                 f"{least} dimensions.")
            return sizes
        return map_structure(minimum, one, shape, minimum)

    def _known_dtype(self, dtype: Any, template: Any) -> Any:
        if dtype is UNSPECIFIED:
            return broadcast_structure(template, self.dtype)

        def one(part: Any) -> DType | None:
            known = canonical_dtype(part)
            if self.dtype is not None and known is not None and known != self.dtype:
                raise TypeError(f"{self.name} computes in {self.dtype}, not in {known}.")
            return known if known is not None else self.dtype
        return map_structure(template, one, dtype)


def _shifted_ndims(event_ndims: Any, from_min: Any, to_min: Any, name: str) -> Any:
    """Ranks on the other side of a map: the minimum there plus the excess here."""
    if None in flatten(event_ndims, event_ndims):
        return map_structure(to_min, lambda _: None, to_min)
    excess = reduction_ndims(event_ndims, from_min, name)
    return map_structure(to_min, lambda n: n + excess, to_min)


def _lower_snake(class_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()
