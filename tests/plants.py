"""Conventions and mistakes of other implementations, planted into refglow's specification.

Most make a bijector that is consistent with itself: it inverts exactly, and its log-det is
that of its Jacobian.
"""

import sys
from typing import Any

import numpy as np
import pytest
from planting import replace_op

from refglow.bijectors import (
    activation_normalization,
    expand,
    glow_block,
    glow_coupling,
    log_det,
    network_coupling,
    real_nvp,
)
from refglow.bijectors import scale_matvec_lu as lu
from refglow.bijectors.chain import Chain
from refglow.bijectors.reshape import Reshape
from refglow.bijectors.transpose import Transpose
from refglow.elementary import log_sigmoid, sigmoid

# The package gives the functions these modules' names.
sigmoid_module = sys.modules["refglow.bijectors.sigmoid"]
conv2d_module = sys.modules["refglow.networks.conv2d"]
relu_module = sys.modules["refglow.networks.relu"]


def wrong_half(patch: pytest.MonkeyPatch) -> None:
    split, join = real_nvp.real_nvp_split, real_nvp.real_nvp_join
    patch.setattr(real_nvp, "real_nvp_split", lambda x, n: split(x, -n))
    patch.setattr(real_nvp, "real_nvp_join", lambda a, b, n: join(a, b, -n))


def shift_before_scale(patch: pytest.MonkeyPatch) -> None:
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward=lambda x, r, t: ((x + t) * sigmoid(r + 2), log_sigmoid(r + 2)),
               inverse=lambda y, r, t: (y / sigmoid(r + 2) - t, -log_sigmoid(r + 2)))


def missing_height_times_width(patch: pytest.MonkeyPatch) -> None:
    def sum_without_multiplying(values: Any, shape: Any, extra: int) -> Any:
        values = values.reshape((1,) * (len(shape) - values.ndim) + values.shape)
        batch = shape[:len(shape) - extra]
        summed = values.sum(axis=tuple(range(len(batch), len(shape))))
        return np.array(np.broadcast_to(summed, batch))
    patch.setattr(log_det, "_sum_over_last", sum_without_multiplying)


def transposed_weights(patch: pytest.MonkeyPatch) -> None:
    reconstruct = lu.lu_reconstruct
    patch.setattr(lu, "lu_reconstruct", lambda f, p: np.swapaxes(reconstruct(f, p), -1, -2))
    replace_op(patch, lu, "SCALE_MATVEC_LU", inverse=lambda y, f, p: (
        np.linalg.solve(np.swapaxes(reconstruct(f, p), -1, -2), y[..., None])[..., 0],
        -lu.lu_log_det(f)))


def inverted_permutation(patch: pytest.MonkeyPatch) -> None:
    forward, inverse = lu.scale_matvec_lu_forward, lu.scale_matvec_lu_inverse
    replace_op(patch, lu, "SCALE_MATVEC_LU",
               forward=lambda x, f, p: forward(x, f, np.argsort(p)),
               inverse=lambda y, f, p: inverse(y, f, np.argsort(p)))


def interleaved_network_output(patch: pytest.MonkeyPatch) -> None:
    as_array = network_coupling.as_array

    def interleaved(value: Any, *rest: Any) -> Any:
        array = as_array(value, *rest)
        return np.concatenate([array[..., 0::2], array[..., 1::2]], axis=-1)
    patch.setattr(network_coupling, "as_array", interleaved)


def swapped_scale_and_shift(patch: pytest.MonkeyPatch) -> None:
    as_array = network_coupling.as_array

    def swapped(value: Any, *rest: Any) -> Any:
        array = as_array(value, *rest)
        return np.roll(array, array.shape[-1] // 2, axis=-1)
    patch.setattr(network_coupling, "as_array", swapped)


def scale_without_offset(patch: pytest.MonkeyPatch) -> None:
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward=lambda x, r, t: (x * sigmoid(r) + t, log_sigmoid(r)),
               inverse=lambda y, r, t: ((y - t) / sigmoid(r), -log_sigmoid(r)))


def space_to_depth_order(patch: pytest.MonkeyPatch) -> None:
    """Channels (a b c) in place of (c a b)."""
    def chain(parts: list[Any]) -> Chain:
        h, w, c, a, b = parts[2].parameters["event_shape_out"]
        return Chain([parts[0], Transpose((0, 2, 1, 3, 4)),
                      Reshape((h, w, a, b, c), (h, w, c * a * b))])
    patch.setattr(expand, "Chain", chain)


def sample_standard_deviation(patch: pytest.MonkeyPatch) -> None:
    def statistics(batch: Any, epsilon: float) -> Any:
        axes = tuple(range(batch.ndim - 1))
        return batch.mean(axis=axes), batch.std(axis=axes, ddof=1) + epsilon
    patch.setattr(activation_normalization, "channel_statistics", statistics)


def no_epsilon_in_actnorm(patch: pytest.MonkeyPatch) -> None:
    def statistics(batch: Any, epsilon: float) -> Any:
        axes = tuple(range(batch.ndim - 1))
        return batch.mean(axis=axes), batch.std(axis=axes)
    patch.setattr(activation_normalization, "channel_statistics", statistics)


def log_det_sign(patch: pytest.MonkeyPatch) -> None:
    log_det_of = lu.lu_log_det
    patch.setattr(lu, "lu_log_det", lambda f: -log_det_of(f))


def log_det_of_actnorm_left_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(activation_normalization, "_total", lambda v: np.zeros((), np.float64))


def scale_with_floor(patch: pytest.MonkeyPatch) -> None:
    """s + 0.001, as nflows has it."""
    def scale(r: Any) -> Any:
        return sigmoid(r + 2) + 1e-3
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward=lambda x, r, t: (x * scale(r) + t, np.log(scale(r))),
               inverse=lambda y, r, t: ((y - t) / scale(r), -np.log(scale(r))))
    replace_op(patch, glow_coupling, "EXP_AFFINE",
               forward=lambda x, r, t: (x * (np.exp(r + 2) + 1e-3) + t, r + 2),
               inverse=lambda y, r, t: ((y - t) / (np.exp(r + 2) + 1e-3), -r - 2))


def other_scale_function(patch: pytest.MonkeyPatch) -> None:
    """exp in couplings, the sigmoid in exits."""
    replace_op(patch, glow_coupling, "SIGMOID_AFFINE",
               forward=glow_coupling.exp_affine_forward, inverse=glow_coupling.exp_affine_inverse)
    replace_op(patch, glow_coupling, "EXP_AFFINE", forward=glow_coupling.sigmoid_affine_forward,
               inverse=glow_coupling.sigmoid_affine_inverse)


def no_scale(patch: pytest.MonkeyPatch) -> None:
    for op in ("SIGMOID_AFFINE", "EXP_AFFINE"):
        replace_op(patch, glow_coupling, op,
                   forward=lambda x, r, t: (x + t, np.zeros_like(r)),
                   inverse=lambda y, r, t: (y - t, np.zeros_like(r)))


def exits_shift_before_scale(patch: pytest.MonkeyPatch) -> None:
    replace_op(patch, glow_coupling, "EXP_AFFINE",
               forward=lambda x, r, t: ((x + t) * np.exp(r + 2), r + 2),
               inverse=lambda y, r, t: (y / np.exp(r + 2) - t, -r - 2))


def exits_without_offset(patch: pytest.MonkeyPatch) -> None:
    replace_op(patch, glow_coupling, "EXP_AFFINE",
               forward=lambda x, r, t: (x * np.exp(r) + t, r),
               inverse=lambda y, r, t: ((y - t) / np.exp(r), -r))


def exits_whiten(patch: pytest.MonkeyPatch) -> None:
    """z = (x - mean) e^-logs towards the latents, as OpenAI has it."""
    replace_op(patch, glow_coupling, "EXP_AFFINE",
               forward=lambda x, r, t: ((x - t) * np.exp(-r), -r),
               inverse=lambda y, r, t: (y * np.exp(r) + t, r))


def positive_diagonal(patch: pytest.MonkeyPatch) -> None:
    """The diagonal of U without its sign."""
    def unsigned(f: Any) -> Any:
        places = np.arange(f.shape[-1])
        g = f.copy()
        g[..., places, places] = np.abs(g[..., places, places])
        return g
    forward, inverse = lu.scale_matvec_lu_forward, lu.scale_matvec_lu_inverse
    replace_op(patch, lu, "SCALE_MATVEC_LU", forward=lambda x, f, p: forward(x, unsigned(f), p),
               inverse=lambda y, f, p: inverse(y, unsigned(f), p))


def exchanged_triangles(patch: pytest.MonkeyPatch) -> None:
    forward, inverse = lu.scale_matvec_lu_forward, lu.scale_matvec_lu_inverse
    replace_op(patch, lu, "SCALE_MATVEC_LU",
               forward=lambda x, f, p: forward(x, np.swapaxes(f, -1, -2), p),
               inverse=lambda y, f, p: inverse(y, np.swapaxes(f, -1, -2), p))


def actnorm_scales_before_shifting(patch: pytest.MonkeyPatch) -> None:
    total = activation_normalization._total
    replace_op(patch, activation_normalization, "ACTIVATION_NORMALIZATION",
               forward=lambda z, m, v: ((z - m) / np.exp(v), -total(v)),
               inverse=lambda x, m, v: (x * np.exp(v) + m, total(v)))


def actnorm_gain(patch: pytest.MonkeyPatch) -> None:
    forward = activation_normalization.activation_normalization_forward
    inverse = activation_normalization.activation_normalization_inverse
    replace_op(patch, activation_normalization, "ACTIVATION_NORMALIZATION",
               forward=lambda z, m, v: forward(z, m, 3 * v),
               inverse=lambda x, m, v: inverse(x, m, 3 * v))


def columns_before_rows(patch: pytest.MonkeyPatch) -> None:
    """Channels (c b a) in place of (c a b)."""
    def chain(parts: list[Any]) -> Chain:
        return Chain([parts[0], Transpose((0, 4, 1, 3, 2)), parts[2]])
    patch.setattr(expand, "Chain", chain)


def padded_with_ones(patch: pytest.MonkeyPatch) -> None:
    convolved = conv2d_module.convolved

    def on_ones(images: Any, kernel: Any, ph: int, pw: int) -> Any:
        return convolved(np.pad(images, [(0, 0), (ph, ph), (pw, pw), (0, 0)], constant_values=1),
                         kernel, 0, 0)
    patch.setattr(conv2d_module, "convolved", on_ones)


def leaky_activation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(relu_module, "relu", lambda x: np.where(x > 0, x, 0.01 * x))


def convolution_before_coupling(patch: pytest.MonkeyPatch) -> None:
    """Towards the images a step undoes its 1x1 convolution first."""
    step = glow_block._step
    patch.setattr(glow_block, "_step", lambda *given: step(*given)[::-1])


def pairs_shift_before_scale(patch: pytest.MonkeyPatch) -> None:
    """(x + shift) exp(log_scale) in RealNVP."""
    patch.setattr(real_nvp, "Chain", lambda parts, members: Chain(parts[::-1], members=members))


def pairs_by_sigmoid(patch: pytest.MonkeyPatch) -> None:
    """RealNVP's log-scale read as a raw scale."""
    scale = real_nvp.Scale
    patch.setattr(real_nvp, "Scale",
                  lambda log_scale: scale(log_scale=log_sigmoid(log_scale + 2)))


def log_dets_of_matrices_and_sigmoids_left_out(patch: pytest.MonkeyPatch) -> None:
    """What a composition that forgets one of its parts has for a log-det."""
    patch.setattr(lu, "lu_log_det", lambda f: 0 * f[..., 0, 0])
    forward, inverse = sigmoid_module.SIGMOID.forward, sigmoid_module.SIGMOID.inverse
    replace_op(patch, sigmoid_module, "SIGMOID",
               forward=lambda x: (forward(x)[0], np.zeros_like(x)),
               inverse=lambda y: (inverse(y)[0], np.zeros_like(y)))


def sums_in_float16(patch: pytest.MonkeyPatch) -> None:
    """Convolutions, statistics and log-dets that are kept in half precision."""
    def halved(value: Any) -> Any:
        with np.errstate(over="ignore"):
            return value.astype(np.float16).astype(value.dtype)
    convolved, total = conv2d_module.convolved, log_det._sum_over_last
    statistics = activation_normalization.channel_statistics
    patch.setattr(conv2d_module, "convolved", lambda *given: halved(convolved(*given)))
    patch.setattr(log_det, "_sum_over_last", lambda *given: halved(np.asarray(total(*given))))
    patch.setattr(activation_normalization, "channel_statistics", lambda batch, epsilon: tuple(
        halved(part) for part in statistics(batch, epsilon)))
