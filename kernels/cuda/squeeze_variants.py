"""How the squeeze kernels are launched, and the records of their ladder.

    run_squeeze(variant, y, block_size)             expand_inverse: pixels to channels
    run_expand(variant, x, block_size)              expand_forward: channels to pixels
    normalized_squeeze(y, block_size, shift, log_scale)       the fused variant: then ActNorm
    normalized_expand(z, block_size, shift, log_scale)        its inverse
    VARIANTS                                        all of them

The variants are described in squeeze_kernels.py.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from refglow.kernels.cuda import squeeze_kernels as kernels
from refglow.kernels.cuda.activation_normalization import log_det_of_pixel
from refglow.kernels.cuda.device import device_of
from refglow.kernels.cuda.kernel import Kernel, Size, Variant
from refglow.kernels.cuda.launch_shape import (
    MOST_BLOCKS_IN_Y,
    THREADS,
    blocks_for,
    ceil_div,
    power_of_two_threads,
)
from refglow.kernels.cuda.layout import example_numbers, flat, lanes_in_vector, require_shape
from refglow.kernels.cuda.squeeze_operands import (
    SqueezeOperands,
    operands_of_image,
    operands_of_squeezed,
)
from refglow.kernels.cuda.storage import computing_dtype

# Where a multiprocessor has 100 KiB of shared memory and few blocks (sm_86, sm_89, sm_120), the
# tiles leave a third to a half of the warps room; with 164 KiB and more it is half and above.
_SQUEEZE = {"naive": Kernel(kernels.squeeze_naive), "coalesced": Kernel(kernels.squeeze_coalesced),
            "vectorized": Kernel(kernels.squeeze_vectorized, vectorized=True),
            "gathered": Kernel(kernels.squeeze_gathered),
            "tiled": Kernel(kernels.squeeze_tiled, vectorized=True, occupancy=0.33)}
_EXPAND = {"naive": Kernel(kernels.expand_naive), "coalesced": Kernel(kernels.expand_coalesced),
           "vectorized": Kernel(kernels.expand_vectorized, vectorized=True),
           "gathered": Kernel(kernels.expand_gathered),
           "tiled": Kernel(kernels.expand_tiled, vectorized=True, occupancy=0.33)}
_NORMALIZED_SQUEEZE = Kernel(kernels.squeeze_fused)
_NORMALIZED_EXPAND = Kernel(kernels.expand_fused)


def run_squeeze(variant: str | None, y: Any, block_size: int) -> tuple[Any, Any]:
    """(y with n x n tiles of pixels moved into channels, 0), by one variant.

    Args:
      variant: which kernel; None chooses the best one that applies.
      y, block_size: as for `expand_inverse`.

    Returns:
      x: [..., H / n, W / n, C n^2]; the log-det 0, a scalar.

    Raises:
      TypeError: the number type is not supported.
      ValueError: the sizes are not divisible by n, or the variant does not apply to them.
    """
    operands = operands_of_image("expand_inverse", y, block_size)
    result = _moved(operands, variant, _SQUEEZE, to_image=False)
    return result, _zero(operands)


def run_expand(variant: str | None, x: Any, block_size: int) -> tuple[Any, Any]:
    """(x with channels moved into n x n tiles of pixels, 0), by one variant.

    Args:
      variant: which kernel; None chooses the best one that applies.
      x, block_size: as for `expand_forward`.

    Returns:
      y: [..., H n, W n, C / n^2]; the log-det 0, a scalar.

    Raises:
      TypeError: the number type is not supported.
      ValueError: the sizes are not divisible by n^2, or the variant does not apply to them.
    """
    operands = operands_of_squeezed("expand_forward", x, block_size)
    result = _moved(operands, variant, _EXPAND, to_image=True)
    return result, _zero(operands)


def _moved(operands: SqueezeOperands, variant: str | None, ladder: dict[str, Kernel],
           to_image: bool) -> Any:
    source = _as_moved(operands.source)
    result = _as_moved(operands.new())
    if result.size:
        squeezed = source if to_image else result
        chosen = _chosen(operands, variant, ladder, squeezed, result)
        sizes = operands.columns, operands.channels
        if chosen == "tiled":
            _launch_tiled(operands, ladder[chosen], source, result)
        elif chosen in ("vectorized", "gathered"):
            per_thread = lanes_in_vector(source.dtype) * (4 if chosen == "vectorized" else 1)
            operands.device.launch(ladder[chosen], blocks_for(source.size // per_thread), THREADS,
                                   source, result, source.size, *sizes)
        else:
            per_thread = operands.channels * operands.n**2 if chosen == "naive" else 1
            operands.device.launch(ladder[chosen], blocks_for(source.size // per_thread), THREADS,
                                   source, result, source.size, *sizes, operands.n)
    return operands.shaped(result)


def _launch_tiled(operands: SqueezeOperands, kernel: Kernel, source: Any, result: Any) -> None:
    part = min(operands.columns_in_tile, operands.columns)
    grid = ceil_div(operands.columns, part), min(operands.strips, MOST_BLOCKS_IN_Y)
    vectors = part * 4 * operands.channels // lanes_in_vector(source.dtype)
    operands.device.launch(kernel, grid, power_of_two_threads(vectors), source, result,
                           operands.strips, operands.columns, operands.channels, part)


def _chosen(operands: SqueezeOperands, variant: str | None, ladder: dict[str, Kernel],
            squeezed: Any, result: Any) -> str:
    if variant is None:
        return "gathered" if operands.whole_squeezed_vectors(squeezed) else "coalesced"
    if variant not in ladder:
        raise ValueError(f"there is no variant {variant!r}; there are {', '.join(ladder)}.")
    applies = {"vectorized": operands.whole_vectors(result),
               "gathered": operands.whole_squeezed_vectors(squeezed),
               "tiled": operands.whole_tiles(result)}.get(variant, True)
    if not applies:
        raise ValueError(
            f"variant {variant} does not apply to a block size of {operands.n} and rows of "
            f"{operands.columns * operands.n} pixels of {operands.channels} channels. All but "
            "naive and coalesced are for 2, in arrays aligned to 16 bytes: vectorized for channels "
            "that are a multiple of that, gathered for arrays, tiled for rows of the image, with "
            f"up to {kernels.TILE // 32} channels.")
    return variant


def _as_moved(array: Any) -> Any:
    """16-bit numbers as int16, which kernels move unchanged."""
    return array.view(np.int16) if array.dtype.itemsize == 2 else array


def _zero(operands: SqueezeOperands) -> Any:
    return operands.device.xp.zeros((), computing_dtype(operands.source.dtype))


def normalized_squeeze(y: Any, block_size: int, shift: Any, log_scale: Any) -> tuple[Any, Any]:
    """Squeeze, then ActNorm's inverse: (z = (expand_inverse(y) + shift) exp(log_scale), its ildj).

    Args:
      y: [..., H, W, C], H and W divisible by block_size.
      block_size: n; 2 for the fused kernel.
      shift, log_scale: [C n^2], float64 for float64, else float32.

    Returns:
      z: [..., H / n, W / n, C n^2] of the type of y; the log-det of one channel vector of z,
      sum(log_scale), a scalar, in nats.

    Raises:
      TypeError: the number types are not supported.
      ValueError: the sizes do not fit, or are not for the fused kernel.
    """
    operands = operands_of_image("normalized_squeeze", y, block_size)
    result = operands.new()
    _launch_fused("normalized_squeeze", operands, _NORMALIZED_SQUEEZE, result, result, shift,
                  log_scale)
    return operands.shaped(result), log_det_of_pixel(log_scale)


def normalized_expand(z: Any, block_size: int, shift: Any, log_scale: Any) -> tuple[Any, Any]:
    """ActNorm's forward, then Expand: (expand_forward(z / exp(log_scale) - shift), its fldj).

    Args:
      z: [..., H, W, C], C divisible by block_size^2.
      block_size, shift, log_scale: as for `normalized_squeeze`, [C].

    Returns:
      y: [..., H n, W n, C / n^2] of the type of z; the log-det of one channel vector of z,
      -sum(log_scale), a scalar, in nats.

    Raises:
      as for `normalized_squeeze`.
    """
    operands = operands_of_squeezed("normalized_expand", z, block_size)
    result = operands.new()
    _launch_fused("normalized_expand", operands, _NORMALIZED_EXPAND, operands.source, result,
                  shift, log_scale)
    return operands.shaped(result), -log_det_of_pixel(log_scale)


def _launch_fused(op: str, operands: SqueezeOperands, kernel: Kernel, squeezed: Any, result: Any,
                  shift: Any, log_scale: Any) -> None:
    device_of(operands.source, shift, log_scale)
    parameters = computing_dtype(operands.source.dtype)
    for name, parameter in (("shift", shift), ("log_scale", log_scale)):
        require_shape(op, name, parameter, (operands.channels * operands.n**2,))
        if parameter.dtype != parameters:
            raise TypeError(f"{op}: {name} must be {parameters}; got {parameter.dtype}.")
    if not result.size:
        return
    if not operands.whole_squeezed_vectors(squeezed):
        raise ValueError(f"{op} is for a block size of 2 (got {operands.n}) and arrays that are "
                         "multiples of 16 bytes, aligned to it. Squeeze and ActNorm one after the "
                         "other do it for any.")
    device, source = operands.device, operands.source
    vectors = source.size // lanes_in_vector(source.dtype)
    device.launch(kernel, blocks_for(vectors), THREADS, source, result, flat(device, shift),
                  flat(device, log_scale), source.size, operands.columns, operands.channels)


# ---- records ----------------------------------------------------------------------------------

_IDEAS = {
    "naive": "a thread for each squeezed pixel",
    "coalesced": "a thread for each number of the result",
    "vectorized": "16 bytes of channels of 2 x 2 pixels, transposed in registers",
    "gathered": "a thread for each 16 bytes of the squeezed side, single numbers of the image",
    "tiled": "pieces of image rows staged in shared memory, 16 bytes on both sides",
    "fused": "as gathered, with ActNorm on the way"}


def _example(squeezed: bool, name: str, size: Size, dtype: str) -> tuple[Any, ...]:
    """Images whose sizes are all different; realistic ones are nearly CIFAR's."""
    if name == "vectorized":
        b, h, w, c = (2, 4, 6, 8) if size == "small" else (8, 30, 32, 16)
    else:
        b, h, w, c = (2, 4, 8, 6) if size == "small" else (32, 30, 32, 3)
    shape = (b, h // 2, w // 2, c * 4) if squeezed else (b, h, w, c)
    array = example_numbers(shape, dtype, seed=0)
    if name != "fused":
        return array, 2
    parameters = np.random.default_rng(1).standard_normal((2, c * 4))
    shift, log_scale = parameters.astype(np.float64 if dtype == "float64" else np.float32)
    return array, 2, shift, log_scale


def _variant(op: str, name: str, run: Any) -> Variant:
    normalized = name == "fused"
    squeezed = op in ("expand_forward", "normalized_expand")
    return Variant(
        op=op, name=name, idea=_IDEAS[name], run=run,
        example=partial(_example, squeezed, name),
        bytes_moved=lambda array, *rest: int(2 * array.size * array.dtype.itemsize),
        operations=lambda array, *rest: 3 * int(array.size) if normalized else 0,
        elements=lambda array, *rest: int(array.size),
        dtypes=("float32", "float64", "float16", "bfloat16"))


VARIANTS = (
    *(_variant("expand_inverse", name, partial(run_squeeze, name)) for name in _SQUEEZE),
    *(_variant("expand_forward", name, partial(run_expand, name)) for name in _EXPAND),
    _variant("normalized_squeeze", "fused", normalized_squeeze),
    _variant("normalized_expand", "fused", normalized_expand))
