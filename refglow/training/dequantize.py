"""From whole levels to the numbers that a flow models, and back; the likelihood's unit.

    level k, `bits` bits  ->  k' = floor(k / 2^(bits - n)), n bits
    x = k'/2^n - 1/2 + u,     u uniform in [0, 2^-n),      so x in [-1/2, 1/2)
    bits/dim = (-log p(x) + D n ln 2) / (D ln 2) = -log p(x) / (D ln 2) + n

Sources: Kingma & Dhariwal 2018 ("Glow"), section 2, equation 2, and their code
(https://github.com/openai/glow, model.py, `preprocess` and `_f_loss`). Why noise must be added:
Theis, van den Oord & Bethge 2016, "A note on the evaluation of generative models", section 3.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array


def dequantize(levels: npt.ArrayLike, bits: int, n_bits: int, rng: np.random.Generator,
               dtype: npt.DTypeLike = np.float32) -> Array:
    """x = floor(k / 2^(bits - n_bits)) / 2^n_bits - 1/2 + u, with u uniform in [0, 2^-n_bits).

    Args:
      levels: whole numbers of any shape in 0..2^bits - 1.
      bits: bits of `levels`, 1..16.
      n_bits: bits to keep, 1..bits.
      rng: draws u.
      dtype: float32 or float64, the number type of x.

    Returns:
      x, `dtype`, of the shape of `levels`, in [-1/2, 1/2): never on the next level's edge.

    Raises:
      TypeError: if the levels are not whole numbers or dtype is another.
      ValueError: if bits, n_bits or a level is out of range.

    Source: see the module.
    """
    number_type = np.dtype(dtype)
    if number_type not in (np.float32, np.float64):
        raise TypeError(f"dtype must be float32 or float64; got {number_type}.")
    _check_bits("bits", bits, 16)
    _check_bits("n_bits", n_bits, bits)
    k = _checked_levels(levels, bits) >> (bits - n_bits)
    # k'/2^n - 1/2 + u in floating point could round up to the next level's edge. So everything is
    # done in whole numbers. With a p-bit significand (24 in float32, 53 in float64) every multiple
    # of 2^-(p+1) in [-1/2, 1/2) is a floating-point number: its numerator is below 2^p in
    # magnitude, or exactly -2^p. So u = j 2^-(p+1) with j uniform in 0..2^(p+1-n) - 1, and
    #     x = (k' 2^(p+1-n) + j - 2^p) 2^-(p+1)
    # is exact. At n = 8 the noise has 17 bits in float32, 46 in float64.
    precision = np.finfo(number_type).nmant + 1
    integer = np.dtype(f"int{8 * number_type.itemsize}")
    noise_bits = precision + 1 - n_bits
    noise = rng.integers(0, 2**noise_bits, k.shape, integer)
    numerator = (k.astype(integer) << noise_bits) + noise - integer.type(2**precision)
    return np.asarray(np.ldexp(numerator.astype(number_type), -(precision + 1)))


def noise_generator(seed: int, skipped: int, dtype: npt.DTypeLike) -> np.random.Generator:
    """numpy.random.default_rng(seed) as it is after `dequantize` has drawn for `skipped` numbers.

    Args:
      seed: of the noise.
      skipped: how many numbers come before.
      dtype: float32 or float64, as for `dequantize`.
    """
    # The range of the noise is a power of two, for which NumPy never rejects a draw: each number
    # takes one word of 64 bits, in float32 one of 32, half of what PCG64 gives at a time.
    bits = np.random.PCG64(seed)
    words_of_32 = np.dtype(dtype) == np.float32
    bits.advance(skipped // 2 if words_of_32 else skipped)
    rng = np.random.Generator(bits)
    if words_of_32 and skipped % 2:
        rng.integers(0, 2, dtype=np.int32)
    return rng


def quantize(x: npt.ArrayLike, n_bits: int) -> Array:
    """floor((x + 1/2) 2^n_bits), clipped to 0..2^n_bits - 1: the level whose cell holds x.

    Args:
      x: numbers of any shape and floating type; [-1/2, 1/2) without clipping.
      n_bits: bits of the levels, 1..16.

    Returns:
      Levels, uint8 (uint16 if n_bits > 8), of the shape of x.

    Raises:
      ValueError: if n_bits is out of range or x is NaN somewhere.
    """
    _check_bits("n_bits", n_bits, 16)
    values = np.asarray(x)
    num_nan = np.count_nonzero(np.isnan(values))
    if num_nan:
        raise ValueError(f"x is NaN at {num_nan} of {values.size} places, which is no level. If "
                         "these are samples, the model's weights may have diverged.")
    # Scaling by a power of two is exact and x + 1/2 is not: adding after the floor keeps an x just
    # below an edge in its cell. (Clipped first, an infinite or huge x overflows nothing.)
    levels = np.floor(np.clip(values, -0.5, 0.5) * 2.0**n_bits) + 2.0**(n_bits - 1)
    return np.asarray(np.minimum(levels, 2.0**n_bits - 1)).astype(_level_dtype(n_bits))


def bits_per_dim(log_prob: npt.ArrayLike, num_dims: int, n_bits: int) -> npt.NDArray[np.float64]:
    """(-log_prob + D n ln 2) / (D ln 2) = -log_prob / (D ln 2) + n, in bits per dimension.

    Args:
      log_prob: log p(x) in nats, summed over an image's dimensions, of any shape.
      num_dims: D = H W C, the number of dimensions of an image, at least 1.
      n_bits: n, the bits of the levels that x was made from.

    Returns:
      float64, of the shape of log_prob.

    Raises:
      ValueError: if num_dims or n_bits is out of range.

    Source: see the module.
    """
    # An upper bound on the length of a lossless code. Let P(k) be the model's probability of the
    # image k of whole levels: the density's integral over its cell, of volume V = 2^(-n D),
    #     P(k) = integral of p(x_k + u) du = V E_u[p(x_k + u)],        u uniform in the cell.
    # By Jensen's inequality log E_u[p] >= E_u[log p], so
    #     -log P(k) = -log E_u[p(x_k + u)] - log V <= E_u[-log p(x_k + u)] + D n ln 2,
    # with equality if and only if p is constant in the cell. The left side is the code length of k
    # in nats; the right side is the mean over the noise of what is computed here, times D ln 2.
    _check_bits("n_bits", n_bits, 16)
    if num_dims < 1:
        raise ValueError(f"num_dims must be at least 1; got {num_dims}.")
    return np.asarray(-np.asarray(log_prob, np.float64) / (num_dims * np.log(2.0)) + n_bits)


def _check_bits(name: str, bits: int, largest: int) -> None:
    if bits not in range(1, largest + 1):
        raise ValueError(f"{name} must be a whole number in 1..{largest}; got {bits!r}.")


def _checked_levels(levels: npt.ArrayLike, bits: int) -> npt.NDArray[Any]:
    array = np.asarray(levels)
    if array.dtype.kind not in "iu":
        raise TypeError(f"levels must be whole numbers; got {array.dtype}.")
    outside = array[(array < 0) | (array >= 2**bits)]
    if outside.size:
        raise ValueError(f"levels of {bits} bits are 0..{2**bits - 1}; got {outside[0]}, and "
                         f"{outside.size} such value(s) in all.")
    return array.astype(_level_dtype(bits), copy=False)


def _level_dtype(bits: int) -> type[np.uint8] | type[np.uint16]:
    return np.uint8 if bits <= 8 else np.uint16
