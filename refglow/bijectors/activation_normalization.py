"""ActivationNormalization (ActNorm): a shift and a positive scale for each channel.

In the direction from image to latent, as in the paper, with scale s = exp(v):

    inverse   z = (x + m) * exp(v)          ildj = sum_c v_c        for one pixel
    forward   x = z / exp(v) - m            fldj = -sum_c v_c

(For an H x W image the log-det is H W times that; the sum over pixels does it.)

The parameters are the shift m and the log-scale v, one number for each channel. Their start
depends on data: the first batch that passes, in either direction and through any method, is
normalised to zero mean and unit standard deviation in each channel. With the batch's mean mu and
sd = (population standard deviation) + 10 eps:

    first call in direction inverse:  m = -mu,      v = -log sd      so z = (x - mu) / sd
    first call in direction forward:  m = mu / sd,  v = log sd       so x = (z - mu) / sd

A channel that is constant in that batch has sd = 10 eps, a scale of 8e5 in float32: whatever later
varies in it is blown up. That is what TFP does; refglow does it too and warns, naming the channels.
A first call in the direction forward means that samples, not data, set the parameters; that also
warns. `initialize(images)` is the explicit way, and the one to use before several threads share a
model: two first uses at once would mix their batches. An initialised model is safe to share.

Source: Kingma & Dhariwal 2018, section 3.1; tfp.bijectors.glow.ActivationNormalization.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import DEFAULT_FLOAT, Array, accumulator, canonical_dtype, rounded, widened
from refglow.elementary import exp, log, sqrt
from refglow.event_shape import EventShape
from refglow.variable import Variable


def activation_normalization_forward(z: Array, shift: Array,
                                     log_scale: Array) -> tuple[Array, Array]:
    """(z / exp(log_scale) - shift, -sum(log_scale)).

    Args:
      z: [..., C], any number type.
      shift, log_scale: [C].

    Returns:
      x of the shape of z; the log-det of one channel vector, a scalar, in nats, in the accumulator
      type (float64 for float32).

    Source: as the module.
    """
    x = widened(z) / exp(widened(log_scale)) - shift
    return rounded(x, z, shift, log_scale), -_total(log_scale)


def activation_normalization_inverse(x: Array, shift: Array,
                                     log_scale: Array) -> tuple[Array, Array]:
    """((x + shift) * exp(log_scale), sum(log_scale)).

    Args, Returns: as for the forward function, with x for z.

    Source: as the module.
    """
    z = (widened(x) + shift) * exp(widened(log_scale))
    return rounded(z, x, shift, log_scale), _total(log_scale)


def _total(log_scale: Array) -> Array:
    wide = accumulator(log_scale.dtype)
    return np.asarray(log_scale.sum(dtype=wide), dtype=wide)


def channel_statistics(batch: Array, epsilon: float) -> tuple[Array, Array]:
    """(mean, population standard deviation + epsilon) of each channel, over all other dimensions.

    float32 batches are accumulated in float64: a float32 sum over 10^5 pixels of raw 0-255 data
    would lose the digits that the variance needs.

    Args:
      batch: [..., C], any number type.
      epsilon: added to the deviations; in the unit of the data.

    Returns:
      two arrays [C] in the accumulator type (float64 for float32).

    Source: as the module.
    """
    axes = tuple(range(batch.ndim - 1))
    wide = batch.astype(accumulator(batch.dtype))
    mean = np.asarray(wide.mean(axis=axes))
    deviation = sqrt(np.asarray(((wide - mean) ** 2).mean(axis=axes))) + epsilon
    return mean, deviation


class ActivationNormalization(Bijector):
    """ActNorm, in TFP's direction: `inverse` normalises data, `forward` undoes it."""

    def __init__(self, nchan: int, dtype: npt.DTypeLike = DEFAULT_FLOAT,
                 validate_args: bool = False, name: str = "ActivationNormalization") -> None:
        """Build it, not yet initialised.

        Args:
          nchan: the number of channels C.
          dtype: the number type.
          validate_args: whether to check that inputs are finite.
          name: its name.
        """
        number_type = canonical_dtype(dtype) or DEFAULT_FLOAT
        self._shift = Variable(np.zeros(nchan), "shift", dtype=number_type)
        self._log_scale = Variable(np.zeros(nchan), "log_scale", dtype=number_type)
        self._initialized = Variable(np.asarray(False), "initialized", trainable=False)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True,
                         validate_args=validate_args, dtype=number_type, name=name,
                         members={"shift": self._shift, "log_scale": self._log_scale,
                                  "initialized": self._initialized},
                         parameters=dict(nchan=nchan, dtype=dtype, validate_args=validate_args,
                                         name=name))

    @property
    def shift(self) -> Variable:
        """m: what is added to each channel of the data before scaling."""
        return self._shift

    @property
    def log_scale(self) -> Variable:
        """v: the logarithm of each channel's scale."""
        return self._log_scale

    @property
    def initialized(self) -> bool:
        """Whether the parameters have been set from data (or loaded)."""
        return bool(self._initialized.numpy())

    def initialize(self, batch: Any) -> None:
        """Set the parameters so that `inverse` normalises this batch of data, [..., C].

        Raises:
          ValueError: if the batch is empty, holds NaN or infinity, or has other channels.
        """
        self._set_from(self._convert(batch, "batch", 1), inverse=True)

    def reset(self) -> None:
        """Forget the parameters: the next batch sets them anew."""
        self._initialized.assign(False)

    def mark_initialized(self) -> None:
        """Keep the parameters as they are: no batch will change them."""
        self._initialized.assign(True)

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        self._check_channels(x.shape[-1])
        if not self.initialized:
            warnings.warn(
                f"{self.name} is being initialised from samples rather than data, because its "
                "first use is in the generating direction. Call initialize(images) first, or load "
                "trained weights.", UserWarning, stacklevel=2)
            self._set_from(x, inverse=False)
        return activation_normalization_forward(x, self._shift.numpy(), self._log_scale.numpy())

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        self._check_channels(y.shape[-1])
        if not self.initialized:
            self._set_from(y, inverse=True)
        return activation_normalization_inverse(y, self._shift.numpy(), self._log_scale.numpy())

    def _set_from(self, batch: Array, *, inverse: bool) -> None:
        self._check_channels(batch.shape[-1])
        if batch.size == 0:
            raise ValueError(f"{self.name} cannot be initialised from an empty batch.")
        if batch.dtype.kind in "fc" and not np.isfinite(batch).all():
            raise ValueError(f"{self.name} cannot be initialised from a batch that holds NaN or "
                             "infinity; its parameters are unchanged.")
        epsilon = 10 * _eps(batch)
        mean, deviation = channel_statistics(batch, epsilon)
        constant = np.flatnonzero(deviation.real <= 2 * epsilon)
        if constant.size:
            warnings.warn(
                f"{self.name}: channels {constant.tolist()} are constant in the batch that "
                f"initialises it; their scale becomes {1 / epsilon:.3g}.", UserWarning,
                stacklevel=3)
        log_deviation = log(deviation)
        self._shift.assign(-mean if inverse else mean / deviation)
        self._log_scale.assign(-log_deviation if inverse else log_deviation)
        self._initialized.assign(True)

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        self._check_channels(shape[-1])
        return shape

    _inverse_event_shape = _forward_event_shape

    def _check_channels(self, channels: int | None) -> None:
        if channels is not None and channels != self._shift.size:
            raise ValueError(f"{self.name}: inputs have {channels} channels; it was built for "
                             f"{self._shift.size}.")


@contextlib.contextmanager
def undone_on_error(actnorms: Sequence[ActivationNormalization]) -> Iterator[None]:
    """Whatever the body sets in these ActNorms is taken back if it raises (an interrupt too).

    Args:
      actnorms: the layers to protect.

    Returns:
      a context manager, which lets the error pass.

    Source: none (refglow's own).
    """
    before = [(actnorm, actnorm.state_dict()) for actnorm in actnorms]
    try:
        yield
    except BaseException:
        for actnorm, state in before:
            actnorm.load_state_dict(state)
        raise


def _eps(batch: Array) -> float:
    return float(np.finfo(batch.real.dtype if batch.dtype.kind in "fc" else np.float64).eps)
