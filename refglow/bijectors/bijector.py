"""The base of every bijector: TFP's interface over one primitive per direction.

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

import functools
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.bijectors.log_det import reduce_log_det, reduction_ndims, rounded_like
from refglow.dtypes import Array, DType, as_array, canonical_dtype
from refglow.event_shape import EventShape
from refglow.structure import broadcast_structure, flatten, is_nested, map_structure
from refglow.variable import NameScope, Variable

UNSPECIFIED: Any = object()


class Bijector:
    """An invertible, differentiable map and its log-det-Jacobian. See the module's text."""

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
        self._forward_min_event_ndims = forward_min_event_ndims
        self._inverse_min_event_ndims = (
            forward_min_event_ndims if inverse_min_event_ndims is UNSPECIFIED
            else inverse_min_event_ndims)
        self._is_constant_jacobian = is_constant_jacobian
        self._validate_args = validate_args
        self._dtype = canonical_dtype(dtype)
        self._parameters = dict(parameters or {})
        self._members = dict(members or {})
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

    @property
    def submodules(self) -> tuple[Any, ...]:
        """All bijectors and networks inside this one, each before its own, in order."""
        found: list[Any] = []
        for member in self._children():
            found.append(member)
            found.extend(getattr(member, "submodules", ()))
        return tuple(found)

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """(state name, variable) for every parameter, in the order of the members."""
        for prefix, member in self._members.items():
            if isinstance(member, Variable):
                yield prefix, member
            elif hasattr(member, "named_variables"):
                for name, variable in member.named_variables():
                    yield ".".join(filter(None, (prefix, name))), variable

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Handles on all parameters, named as in `state_dict`."""
        return tuple(variable.renamed(name) for name, variable in self.named_variables())

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """Handles on the parameters that training changes; each once, even if it has two places."""
        distinct: list[Variable] = []
        for variable in self.variables:
            if variable.trainable and not any(map(variable.is_same, distinct)):
                distinct.append(variable)
        return tuple(distinct)

    def state_dict(self) -> dict[str, Array]:
        """Every parameter's value by its state name (read-only arrays)."""
        return {name: variable.numpy() for name, variable in self.named_variables()}

    def load_state_dict(self, arrays: Mapping[str, Any]) -> None:
        """Set every parameter from `arrays`; all of them, or, if anything is wrong, none.

        Values are copied, and cast to the parameter's number type. NaN and infinity are values too.

        Raises:
          ValueError: listing the names that are missing or unknown, and the arrays that do not fit
            (shape, dtype, or not a permutation where one is needed).
        """
        variables = {variable.name: variable for variable in self.variables}
        problems = [f"missing: {name}" for name in variables.keys() - arrays.keys()]
        problems += [f"unknown: {name}" for name in arrays.keys() - variables.keys()]
        checked: dict[str, Array] = {}
        for name in variables.keys() & arrays.keys():
            try:
                checked[name] = variables[name].checked(arrays[name])
            except (TypeError, ValueError) as error:
                problems.append(f"misfit: {error}")
        if problems:
            raise ValueError(f"The state does not fit {self.name!r}; nothing was changed.\n  "
                             + "\n  ".join(sorted(problems)))
        for name, value in checked.items():
            variables[name].assign(value)

    # ---- the map ------------------------------------------------------------------------------

    def forward(self, x: Any, name: str = "forward", **kwargs: Any) -> Any:
        """y = g(x).

        Args:
          x: array-like (or a structure of them), shape [batch..., event...].
          name: unused; TFP's name for the operation.
          **kwargs: passed to the nested bijectors, by their names.

        Returns:
          NumPy array (structure) of the input's dtype.

        Raises:
          TypeError: if x is a floating array of another dtype than the bijector's.
          ValueError: if its shape does not fit.
        """
        return self._forward(self._convert(x, "x", self._forward_min_event_ndims), **kwargs)

    def inverse(self, y: Any, name: str = "inverse", **kwargs: Any) -> Any:
        """x = g^-1(y); for a non-injective bijector the tuple of all x with g(x) = y.

        Args, Returns and Raises: as for `forward`.
        """
        return self._inverse(self._convert(y, "y", self._inverse_min_event_ndims), **kwargs)

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
        return y, rounded_like(fldj, array, ndims)

    def inverse_and_log_det(self, y: Any, event_ndims: Any = None,
                            **kwargs: Any) -> tuple[Any, Any]:
        """(g^-1(y), ildj(y)) in one pass; arguments as for `inverse_log_det_jacobian`."""
        ndims = self._event_ndims(event_ndims, self._inverse_min_event_ndims)
        array = self._convert(y, "y", ndims)
        x, ildj = self._inverse_and_event_log_det(array, ndims, **kwargs)
        return x, rounded_like(ildj, array, ndims)

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

    # ---- what subclasses implement ------------------------------------------------------------

    def _forward_and_log_det(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """(x, **kwargs) -> (y, fldj); those without nested bijectors take x alone."""
        raise NotImplementedError(f"{type(self).__name__} does not implement forward.")

    def _inverse_and_log_det(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """(y, **kwargs) -> (x, ildj)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement inverse.")

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
        return y, reduce_log_det(fldj, x, event_ndims, self._forward_min_event_ndims, self.name)

    def _inverse_and_event_log_det(self, y: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        """The value, and the log-det summed over `event_ndims`. Compositions override this."""
        x, ildj = self._inverse_and_log_det(y, **kwargs)
        minimum = self._inverse_min_event_ndims
        if self.is_injective:
            return x, reduce_log_det(ildj, y, event_ndims, minimum, self.name)
        return x, tuple(reduce_log_det(part, y, event_ndims, minimum, self.name) for part in ildj)

    def _forward_event_shape(self, shape: Any) -> Any:
        return shape

    def _inverse_event_shape(self, shape: Any) -> Any:
        return shape

    def _forward_dtype(self, dtype: Any, **kwargs: Any) -> Any:
        return dtype

    def _inverse_dtype(self, dtype: Any, **kwargs: Any) -> Any:
        return dtype

    def _check_domain(self, array: Array, what: str) -> None:
        """Raise ValueError if a value of `what` ("x" or "y") is outside the domain."""

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        """For each parameter with a batch shape: its value and its own event rank."""
        return {}

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

    # ---- identity -----------------------------------------------------------------------------

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

    def __repr__(self) -> str:
        ndims = (f"min_event_ndims={self.forward_min_event_ndims}"
                 if self.forward_min_event_ndims == self.inverse_min_event_ndims else
                 f"forward_min_event_ndims={self.forward_min_event_ndims}, "
                 f"inverse_min_event_ndims={self.inverse_min_event_ndims}")
        dtype = f", dtype={self.dtype}" if self.dtype is not None else ""
        return f'refglow.bijectors.{type(self).__name__}("{self.name}", {ndims}{dtype})'

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

    # ---- checks -------------------------------------------------------------------------------

    def _children(self) -> Iterator[Any]:
        """The bijectors and networks directly inside this one."""
        return (m for m in self._members.values() if hasattr(m, "named_variables"))

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
    if any(n is None for n in flatten(event_ndims, event_ndims)):
        return map_structure(to_min, lambda _: None, to_min)
    excess = reduction_ndims(event_ndims, from_min, name)
    return map_structure(to_min, lambda n: n + excess, to_min)


def _check_finite(array: Array, name: str, what: str) -> None:
    if array.dtype.kind not in "fc" or bool(np.isfinite(array).all()):
        return
    bad = np.argwhere(~np.isfinite(array))
    raise ValueError(f"{name}: {what} holds {len(bad)} values that are NaN or infinite; the first "
                     f"is {array[tuple(bad[0])]} at index {tuple(map(int, bad[0]))}.")


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


def _lower_snake(class_name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", class_name).lower()


def _same(a: Any, b: Any) -> bool:
    """Equality of (structures of) arguments, arrays compared by shape, dtype and every value."""
    if a is b:
        return True
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if hasattr(a, "__array__") and hasattr(b, "__array__"):
        a, b = np.asarray(a), np.asarray(b)
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and bool(a == b)
