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

from refglow.array_library import asarray, to_host
from refglow.backend import implementation
from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import DEFAULT_FLOAT, Array, accumulator, canonical_dtype, rounded, widened
from refglow.elementary import exp, log, sqrt
from refglow.event_shape import EventShape
from refglow.module import Module
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
    return asarray(log_scale.sum(dtype=wide), wide)


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
    mean = asarray(wide.mean(axis=axes))
    deviation = sqrt(asarray(((wide - mean) ** 2).mean(axis=axes))) + epsilon
    return mean, deviation


# ---- derivatives (with the parameters as they are: the start from data is not differentiated) ----
#
# inverse: z = (x + m) e^v has dz = e^v (dx + dm) + z dv, and ildj = sum_c v_c. Transposed, with the
# sums over all pixels of all images:
#     x_bar = e^v z_bar,      m_bar = sum x_bar,      v_bar = sum z z_bar + ildj_bar
# forward: x = z e^-v - m has dx = e^-v (dz - z dv) - dm, and fldj = -sum_c v_c:
#     z_bar = e^-v x_bar,     m_bar = -sum x_bar,     v_bar = -sum z z_bar - fldj_bar


def activation_normalization_forward_vjp(z: Array, shift: Array, log_scale: Array, x_bar: Array,
                                         fldj_bar: Array) -> tuple[Array, Array, Array]:
    """(z_bar, shift_bar, log_scale_bar) = (e^-v x_bar, -sum x_bar, -sum z z_bar - fldj_bar).

    Args:
      z, shift, log_scale: as for the forward function.
      x_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      z_bar of the shape of z; shift_bar and log_scale_bar, [C].

    Source: the derivation above.
    """
    wide_bar = widened(x_bar)
    z_bar = wide_bar / exp(widened(log_scale))
    bars = z_bar, -_over_pixels(wide_bar), -_over_pixels(z_bar * widened(z)) - fldj_bar
    return _all_rounded(bars, z, shift, log_scale, x_bar)


def activation_normalization_inverse_vjp(z: Array, shift: Array, log_scale: Array, z_bar: Array,
                                         ildj_bar: Array) -> tuple[Array, Array, Array]:
    """(x_bar, shift_bar, log_scale_bar) = (e^v z_bar, sum x_bar, sum z z_bar + ildj_bar).

    Args:
      z: the result of the inverse.
      shift, log_scale: as for the inverse function.
      z_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of z; shift_bar and log_scale_bar, [C].

    Source: the derivation above.
    """
    wide_bar = widened(z_bar)
    x_bar = wide_bar * exp(widened(log_scale))
    bars = x_bar, _over_pixels(x_bar), _over_pixels(wide_bar * widened(z)) + ildj_bar
    return _all_rounded(bars, z, shift, log_scale, z_bar)


def activation_normalization_forward_jvp(
        z: Array, shift: Array, log_scale: Array, z_dot: Array, shift_dot: Array,
        log_scale_dot: Array) -> tuple[Array, Array]:
    """(x_dot, fldj_dot) = (e^-v (z_dot - z v_dot) - m_dot, -sum v_dot).

    Args:
      z, shift, log_scale: as for the forward function.
      z_dot, shift_dot, log_scale_dot: their tangents.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    moved = widened(z_dot) - widened(z) * log_scale_dot
    x_dot = moved / exp(widened(log_scale)) - shift_dot
    return rounded(x_dot, z, log_scale, z_dot, shift_dot, log_scale_dot), -_total(log_scale_dot)


def activation_normalization_inverse_jvp(
        z: Array, shift: Array, log_scale: Array, x_dot: Array, shift_dot: Array,
        log_scale_dot: Array) -> tuple[Array, Array]:
    """(z_dot, ildj_dot) = (e^v (x_dot + m_dot) + z v_dot, sum v_dot).

    Args:
      z: the result of the inverse.
      shift, log_scale: as for the inverse function.
      x_dot, shift_dot, log_scale_dot: the tangents of its arguments.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    z_dot = ((widened(x_dot) + shift_dot) * exp(widened(log_scale))
             + widened(z) * log_scale_dot)
    return rounded(z_dot, z, log_scale, x_dot, shift_dot, log_scale_dot), _total(log_scale_dot)


def _all_rounded(bars: tuple[Array, Array, Array],
                 *operands: Array) -> tuple[Array, Array, Array]:
    first, second, third = (rounded(bar, *operands) for bar in bars)
    return first, second, third


def _over_pixels(array: Array) -> Array:
    """The sum over all dimensions but the channels."""
    return asarray(array.sum(axis=tuple(range(array.ndim - 1))))


ACTIVATION_NORMALIZATION = Op(
    activation_normalization_forward, activation_normalization_inverse,
    activation_normalization_forward_vjp, activation_normalization_inverse_vjp,
    activation_normalization_forward_jvp, activation_normalization_inverse_jvp)


class ActivationNormalization(OpBijector):
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
        return super()._forward_and_log_det(x)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        self._check_channels(y.shape[-1])
        if not self.initialized:
            self._set_from(y, inverse=True)
        return super()._inverse_and_log_det(y)

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        self._check_channels(array.shape[-1])
        return ACTIVATION_NORMALIZATION, (self._shift, self._log_scale), ()

    def _set_from(self, batch: Array, *, inverse: bool) -> None:
        self._check_channels(batch.shape[-1])
        if batch.size == 0:
            raise ValueError(f"{self.name} cannot be initialised from an empty batch.")
        if batch.dtype.kind in "fc" and not np.isfinite(batch).all():
            raise ValueError(f"{self.name} cannot be initialised from a batch that holds NaN or "
                             "infinity; its parameters are unchanged.")
        epsilon = 10 * _eps(batch)
        statistics = implementation(channel_statistics, batch)(batch, epsilon)
        mean, deviation = map(to_host, statistics)
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


def require_initialized(model: Module, what: str) -> None:
    """Raise unless every ActNorm in `model` has been given its parameters.

    Args:
      model: an ActNorm, or what may hold some.
      what: what is asked of the model, for the message.

    Raises:
      ValueError: naming those that are not initialised.

    Source: none (refglow's own).
    """
    fresh = [actnorm for actnorm in _actnorms_of(model) if not actnorm.initialized]
    if fresh:
        places = [name.rpartition(".")[0] or model.name for name, variable in
                  model.named_variables() if any(variable.storage == actnorm._initialized.storage
                                                 for actnorm in fresh)]
        raise ValueError(
            f"{model.name}: {what} was asked for before ActNorm's parameters are set from data "
            f"({len(fresh)} layers: {', '.join(places[:3])}{', ...' if len(places) > 3 else ''}). "
            "Call initialize(images) first, or load trained weights.")


def _actnorms_of(module: Any) -> Iterator[ActivationNormalization]:
    """The ActNorms whose parameters are among the module's."""
    if isinstance(module, ActivationNormalization):
        yield module
    elif isinstance(module, Module):
        for child in module._children():
            yield from _actnorms_of(child)


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
