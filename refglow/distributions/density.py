"""What every distribution computes: TFP's interface over two primitives.

A distribution's shapes come in three groups, from left to right:

    sample_shape   independent draws of the whole         asked for by the caller
    batch_shape    differently parametrised, independent  from the parameters
    event_shape    one draw, whose numbers may depend     from the kind of distribution

    sample(S) has shape S + batch_shape + event_shape;  log_prob of it has shape S + batch_shape

A subclass implements

    _log_prob(value, **kwargs)                                log density, in nats
    _sample(sample_shape, batch_shape, rng, dtype, **kwargs)  sample_shape + batch_shape + event

where the `batch_shape` that is asked for may be larger than the distribution's own: every element
of it is drawn independently. That is how a batch of bijectors lifts one base distribution. The
`dtype` that is asked for is the distribution's own, unless that is None (weak parameters).

One departure from TFP: the last dimensions of a value must be `event_shape` exactly. TFP
broadcasts them, and then takes a scalar for an event of five numbers, or four numbers for an event
of one, and returns the density of something else. Batch dimensions do broadcast.

Source: tfp.distributions.Distribution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from refglow.array_library import asarray
from refglow.dtypes import DEFAULT_FLOAT, Array, as_array
from refglow.elementary import exp
from refglow.event_shape import EventShape
from refglow.module import Module
from refglow.structure import flatten, map_structure

Seed: TypeAlias = int | np.random.Generator | None
Shape: TypeAlias = tuple[int, ...]


class Density(Module):
    """The log density of a distribution, and draws from it. See the module's text."""

    def __init__(self, *, dtype: Any, event_shape: Any, batch_shape: Sequence[int], name: str,
                 event_ndims: Any = None, validate_args: bool = False,
                 parameters: Mapping[str, Any] | None = None,
                 members: Mapping[str, Any] | None = None) -> None:
        """Set what all distributions share.

        Args:
          dtype: the number type of its values (structure); None if the parameters are weak.
          event_shape: the shape of one draw; for a draw of several arrays, a structure of shapes.
          batch_shape: the shape that the parameters give.
          name: its name.
          event_ndims: the ranks of the parts of `event_shape`, in their structure; by default
            there is one part.
          validate_args: whether to check values (not NaN) and parameters, not only shapes.
          parameters: the arguments it was built with, by name.
          members: the variables, distributions and bijectors inside it, by name; anything else in
            it is ignored.
        """
        super().__init__(members or {})
        self._event_ndims = len(event_shape) if event_ndims is None else event_ndims
        self._event_shape = map_structure(self._event_ndims, EventShape, event_shape)
        self._batch_shape = EventShape(batch_shape)
        self._dtype = dtype
        self._name = name
        self._validate_args = validate_args
        self._parameters = dict(parameters or {})

    # ---- attributes ---------------------------------------------------------------------------

    @property
    def event_shape(self) -> Any:
        """The shape of one draw (structure of EventShapes)."""
        return self._event_shape

    @property
    def batch_shape(self) -> EventShape:
        """The shape of the set of distributions that the parameters describe."""
        return self._batch_shape

    def event_shape_tensor(self, name: str = "event_shape_tensor") -> Any:
        """`event_shape` as an int32 vector (structure)."""
        return map_structure(self._event_ndims, EventShape.as_tensor, self.event_shape)

    def batch_shape_tensor(self, name: str = "batch_shape_tensor") -> Array:
        """`batch_shape` as an int32 vector."""
        return self.batch_shape.as_tensor()

    @property
    def dtype(self) -> Any:
        """The number type of values (structure); None if they decide, the parameters being weak."""
        return self._dtype

    @property
    def name(self) -> str:
        """The distribution's name."""
        return self._name

    @property
    def validate_args(self) -> bool:
        """Whether values and parameters are checked on every call."""
        return self._validate_args

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments the distribution was built with."""
        return dict(self._parameters)

    # ---- density and draws --------------------------------------------------------------------

    def log_prob(self, value: Any, name: str = "log_prob", **kwargs: Any) -> Array:
        """The log of the density at `value`, in nats.

        Args:
          value: array-like (structure), shape [..., event_shape], where ... broadcasts against
            `batch_shape`.
          name: unused; TFP's name for the operation.
          **kwargs: passed to the distributions and bijectors inside.

        Returns:
          array of the shape of ... broadcast against `batch_shape`: summed over the event, never
          over the batch.

        Raises:
          TypeError: if `value` is a floating array of another dtype than the parameters.
          ValueError: if its shape does not fit.
        """
        return asarray(self._log_prob(self._convert(value), **kwargs))

    def prob(self, value: Any, name: str = "prob", **kwargs: Any) -> Array:
        """The density at `value`; arguments and results as for `log_prob`."""
        return asarray(self._prob(self._convert(value), **kwargs))

    def sample(self, sample_shape: Any = (), seed: Seed = None, name: str = "sample",
               **kwargs: Any) -> Any:
        """Independent draws.

        Args:
          sample_shape: how many: an int, or a tuple of them.
          seed: int, for the same draws every time; a NumPy Generator, to draw on from its state;
            or None, for different draws every time.
          name: unused.
          **kwargs: passed to the distributions and bijectors inside.

        Returns:
          array (structure) of shape sample_shape + batch_shape + event_shape; float32 if nothing
          decides its number type. Random numbers come from the host, the same for the same seed on
          every backend. Under use_backend("cuda") they are brought to CuPy's current GPU, all else
          is computed there, and the draws are CuPy arrays.

        Raises:
          TypeError, ValueError: if `sample_shape` is not as above.
        """
        shape, rng = as_shape(sample_shape, self.name, "sample_shape"), np.random.default_rng(seed)
        return self._sample(shape, self._known_batch(), rng, self._sample_dtype(), **kwargs)

    def sample_and_log_prob(self, sample_shape: Any = (), seed: Seed = None,
                            name: str = "sample_and_log_prob", **kwargs: Any) -> tuple[Any, Array]:
        """(`sample(...)`, its `log_prob`) in one pass; arguments as for `sample`."""
        shape, rng = as_shape(sample_shape, self.name, "sample_shape"), np.random.default_rng(seed)
        value, log_prob = self._sample_and_log_prob(
            shape, self._known_batch(), rng, self._sample_dtype(), **kwargs)
        return value, asarray(log_prob)

    experimental_sample_and_log_prob = sample_and_log_prob  # TFP's name for it

    def mean(self, name: str = "mean", **kwargs: Any) -> Any:
        """The mean, of shape batch_shape + event_shape; float32 if all parameters are weak."""
        return self._mean(**kwargs)

    def stddev(self, name: str = "stddev", **kwargs: Any) -> Any:
        """The standard deviation of each number, of shape batch_shape + event_shape."""
        return self._stddev(**kwargs)

    # ---- what subclasses implement ------------------------------------------------------------

    def _log_prob(self, value: Any, *args: Any, **kwargs: Any) -> Array:
        raise NotImplementedError(f"{type(self).__name__} does not implement log_prob.")

    def _prob(self, value: Any, **kwargs: Any) -> Array:
        return exp(asarray(self._log_prob(value, **kwargs)))

    def _sample(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                dtype: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} does not implement sample.")

    def _sample_and_log_prob(self, sample_shape: Shape, batch_shape: Shape,
                             rng: np.random.Generator, dtype: Any,
                             **kwargs: Any) -> tuple[Any, Array]:
        value = self._sample(sample_shape, batch_shape, rng, dtype, **kwargs)
        return value, self.log_prob(value, **kwargs)

    def _mean(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{self.name}: the mean is not known in closed form here; "
                                  "average over samples.")

    def _stddev(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{self.name}: the standard deviation is not known in closed "
                                  "form here; take that of samples.")

    # ---- checks -------------------------------------------------------------------------------

    def _convert(self, value: Any) -> Any:
        """The public input as arrays of the right dtype and event shape."""
        def one(part: Any, shape: EventShape, dtype: Any) -> Array:
            array = as_array(part, dtype, self.name, "value")
            self._check_shape(array.shape, shape)
            if self.validate_args and array.dtype.kind in "fc" and np.isnan(array).any():
                raise ValueError(f"{self.name}: value holds {int(np.isnan(array).sum())} NaNs.")
            return array
        return map_structure(self._event_ndims, one, value, self.event_shape, self.dtype)

    def _check_shape(self, shape: Shape, event_shape: EventShape) -> None:
        batch_ndims = len(shape) - event_shape.rank
        if batch_ndims < 0 or shape[batch_ndims:] != event_shape:
            expected = ", ".join(["...", *map(str, event_shape)])
            raise ValueError(f"{self.name}: value has shape {list(shape)}; expected [{expected}], "
                             f"because one event has shape {tuple(event_shape)}.")
        try:
            np.broadcast_shapes(shape[:batch_ndims], self._known_batch())
        except ValueError:
            raise ValueError(
                f"{self.name}: value has shape {list(shape)}, of which {list(shape[:batch_ndims])} "
                f"does not broadcast against the batch shape {tuple(self.batch_shape)}.") from None

    def _known_batch(self) -> Shape:
        return tuple(size for size in self._batch_shape if size is not None)

    def _sample_dtype(self) -> Any:
        return map_structure(self._event_ndims, lambda dtype: dtype or DEFAULT_FLOAT, self.dtype)

    def __repr__(self) -> str:
        shapes = map_structure(self._event_ndims, tuple, self.event_shape)
        known = any(dtype is not None for dtype in flatten(self._event_ndims, self.dtype))
        dtype = f", dtype={map_structure(self._event_ndims, str, self.dtype)}" if known else ""
        return (f'refglow.distributions.{type(self).__name__}("{self.name}", '
                f"batch_shape={tuple(self.batch_shape)}, event_shape={shapes}{dtype})")


def as_shape(sizes: Any, owner: str, what: str) -> Shape:
    """The shape meant by an int or a sequence of ints.

    Args:
      sizes: the int or the sequence.
      owner, what: whose it is, and what it is to them; used in messages only.

    Raises:
      TypeError: if the sizes are not integers.
      ValueError: if one is negative, or `sizes` has more than one dimension.
    """
    array = np.asarray(sizes)
    if array.ndim > 1:
        raise ValueError(f"{owner}: {what} must be an int or a sequence of ints; got {sizes!r}.")
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{owner}: {what} must hold integers; got {sizes!r}.")
    if (array < 0).any():
        raise ValueError(f"{owner}: {what} must not be negative; got {sizes!r}.")
    return tuple(int(size) for size in array.reshape(-1))
