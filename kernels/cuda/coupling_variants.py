"""How the couplings' kernels are launched, and the records of their ladders.

    run_map(op, variant, x, output, deciding)                          a forward or inverse
    run_vjp(op, variant, x, output, deciding, bar, log_det_bar)        a vjp
    VARIANTS                                                           every op in every variant

The variants are described in coupling_kernels.py and coupling_vjp_kernels.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refglow.kernels.cuda import coupling_elements as elements
from refglow.kernels.cuda import coupling_kernels as maps
from refglow.kernels.cuda import coupling_vjp_kernels as vjps
from refglow.kernels.cuda.coupling_operands import (
    CouplingOperands,
    coupling_operands,
    require_bars,
)
from refglow.kernels.cuda.kernel import Kernel, Size, Variant
from refglow.kernels.cuda.launch_shape import (
    MOST_BLOCKS_IN_Y,
    THREADS,
    blocks_for,
    ceil_div,
    power_of_two_threads,
)
from refglow.kernels.cuda.layout import example_numbers, flat, lanes_in_vector
from refglow.kernels.cuda.reduction import sums_of_rows
from refglow.kernels.operation_counts import COUPLING_OPERATIONS

_MAP_ELEMENTS: dict[str, Callable[..., Any]] = {
    "sigmoid_coupling_forward": elements.sigmoid_forward,
    "sigmoid_coupling_inverse": elements.sigmoid_inverse,
    "exp_coupling_forward": elements.exp_forward,
    "exp_coupling_inverse": elements.exp_inverse,
    "shift_coupling_forward": elements.shift_forward,
    "shift_coupling_inverse": elements.shift_inverse,
}
_VJP_ELEMENTS: dict[str, Callable[..., Any]] = {
    "sigmoid_coupling_forward_vjp": elements.sigmoid_forward_vjp,
    "sigmoid_coupling_inverse_vjp": elements.sigmoid_inverse_vjp,
    "exp_coupling_forward_vjp": elements.exp_forward_vjp,
    "exp_coupling_inverse_vjp": elements.exp_inverse_vjp,
}
_MAP_LADDER = {"naive": maps.coupling_naive, "coalesced": maps.coupling_coalesced,
               "vectorized": maps.coupling_vectorized, "tiled": maps.coupling_tiled,
               "fused": maps.coupling_fused}
_VJP_LADDER = {"naive": vjps.coupling_vjp_naive, "coalesced": vjps.coupling_vjp_coalesced,
               "vectorized": vjps.coupling_vjp_vectorized, "tiled": vjps.coupling_vjp_tiled}
_BY_16_BYTES = ("vectorized", "tiled", "fused")
_VECTORS_OF_A_THREAD = 8  # in the fused variant: its sum in a tree costs less the more they are


def _kernel(op: str, variant: str, make: Callable[..., Any], element: Any) -> Kernel:
    function = make(element)
    function.__name__ = function.__qualname__ = f"{op}_{variant}"
    # A vjp by vectors holds three of them, eight float32 registers each for 16-bit numbers. The
    # naive loop over channels is unrolled, which costs 70 registers in float64, as many as the
    # fused variant takes on sm_100.
    crowded = variant in ("naive", "fused") or (variant == "vectorized" and op.endswith("vjp"))
    return Kernel(function, variant in _BY_16_BYTES, occupancy=0.375 if crowded else 0.5)


_KERNELS = {
    **{(op, variant): _kernel(op, variant, make, element)
       for op, element in _MAP_ELEMENTS.items() for variant, make in _MAP_LADDER.items()},
    **{(op, variant): _kernel(op, variant, make, element)
       for op, element in _VJP_ELEMENTS.items() for variant, make in _VJP_LADDER.items()}}


def run_map(op: str, variant: str | None, x: Any, output: Any, deciding: int) -> tuple[Any, Any]:
    """A coupling's forward or inverse function.

    Args:
      op: its name.
      variant: which kernel; None chooses the best one that applies.
      x, output, deciding: as for the op.

    Returns:
      (y [N, P, C] of the type of x, log-det [N] in float64 for float64, else float32).

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other, or the variant does not apply to them.
    """
    operands = coupling_operands(op, x, output, deciding)
    y = operands.new(operands.x.size)
    if not y.size:
        zeros = operands.device.xp.zeros(operands.examples, operands.computing_dtype)
        return operands.shaped(y, operands.channels), zeros
    chosen = _checked(op, variant, operands, y) if variant else _best_map(operands, y)
    launch = _launch_by_blocks if chosen in ("tiled", "fused") else _launch_by_threads
    log_dets = launch(op, chosen, operands, y)
    return (operands.shaped(y, operands.channels),
            sums_of_rows(operands.device, log_dets, operands.examples))


def _best_map(operands: CouplingOperands, y: Any) -> str:
    if operands.whole_vectors(y):
        return "fused"
    return "tiled" if operands.whole_tiles(y) else "coalesced"


def _launch_by_threads(op: str, variant: str, operands: CouplingOperands, y: Any) -> Any:
    """Log-dets, one for each item of mapped numbers, all of an example's one after another."""
    pixels = operands.examples * operands.pixels
    lanes = lanes_in_vector(operands.x.dtype) if variant == "vectorized" else 1
    count = pixels if variant == "naive" else pixels * operands.mapped // lanes
    items = pixels if variant == "naive" else pixels * operands.channels // lanes
    log_dets = operands.device.xp.empty(count, operands.computing_dtype)
    operands.device.launch(_KERNELS[op, variant], blocks_for(items), THREADS, operands.x,
                           operands.output, y, log_dets, pixels, operands.channels,
                           operands.deciding, operands.width)
    return log_dets


def _launch_by_blocks(op: str, variant: str, operands: CouplingOperands, y: Any) -> Any:
    """Log-dets, one for each block's part of an example."""
    if variant == "tiled":
        part, lanes = operands.pixels_in_tile, 1
    else:
        lanes = lanes_in_vector(operands.x.dtype)
        part = max(1, THREADS * _VECTORS_OF_A_THREAD * lanes // operands.mapped)
    part = min(part, operands.pixels)
    parts = ceil_div(operands.pixels, part)
    log_dets = operands.device.xp.empty(operands.examples * parts, operands.computing_dtype)
    threads = power_of_two_threads(part * operands.mapped // lanes)
    operands.device.launch(
        _KERNELS[op, variant], (parts, min(operands.examples, MOST_BLOCKS_IN_Y)), threads,
        operands.x, operands.output, y, log_dets, operands.examples, operands.pixels,
        operands.channels, operands.deciding, operands.width, part)
    return log_dets


def run_vjp(op: str, variant: str | None, x: Any, output: Any, deciding: int, bar: Any,
            log_det_bar: Any) -> tuple[Any, Any]:
    """A coupling's vjp.

    Args:
      op: its name.
      variant: which kernel; None chooses the best one that applies.
      x, output, deciding, bar, log_det_bar: as for the op.

    Returns:
      (x_bar [N, P, C], output_bar [N, P, width]) of the type of x.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other, or the variant does not apply to them.
    """
    operands = coupling_operands(op, x, output, deciding)
    require_bars(op, operands, bar, log_det_bar)
    device = operands.device
    flat_bar = flat(device, bar)
    flat_log_det_bar = flat(device, log_det_bar.astype(operands.computing_dtype))
    x_bar, output_bar = operands.new(operands.x.size), operands.new(operands.output.size)
    if x_bar.size:
        arrays = flat_bar, x_bar, output_bar
        chosen = (_checked(op, variant, operands, *arrays) if variant
                  else _best_vjp(operands, arrays))
        grid, threads, sizes = _vjp_launch_shape(chosen, operands)
        device.launch(_KERNELS[op, chosen], grid, threads, operands.x, operands.output, flat_bar,
                      flat_log_det_bar, x_bar, output_bar, *sizes)
    return (operands.shaped(x_bar, operands.channels), operands.shaped(output_bar, operands.width))


def _best_vjp(operands: CouplingOperands, arrays: tuple[Any, ...]) -> str:
    if operands.whole_vectors(*arrays):
        return "vectorized"
    return "tiled" if operands.whole_tiles(*arrays) else "coalesced"


def _vjp_launch_shape(variant: str, operands: CouplingOperands,
                      ) -> tuple[int | tuple[int, int], int, tuple[int, ...]]:
    """(grid, threads, sizes for the kernel)."""
    sizes = (operands.examples, operands.pixels, operands.channels, operands.deciding,
             operands.width)
    if variant == "tiled":
        part = min(operands.pixels_in_tile, operands.pixels)
        grid = ceil_div(operands.pixels, part), min(operands.examples, MOST_BLOCKS_IN_Y)
        return grid, power_of_two_threads(part * operands.mapped), (*sizes, part)
    lanes = lanes_in_vector(operands.x.dtype) if variant == "vectorized" else 1
    per_pixel = 1 if variant == "naive" else operands.channels // lanes
    return blocks_for(operands.examples * operands.pixels * per_pixel), THREADS, sizes


def _checked(op: str, variant: str, operands: CouplingOperands, *arrays: Any) -> str:
    """The variant, if it applies."""
    if (op, variant) not in _KERNELS:
        known = ", ".join(known for name, known in _KERNELS if name == op)
        raise ValueError(f"{op} has no variant {variant!r}; it has {known}.")
    if variant in ("vectorized", "fused") and not operands.whole_vectors(*arrays):
        raise ValueError(f"{op}, variant {variant}: deciding ({operands.deciding}) and mapped "
                         f"({operands.mapped}) channels must be multiples of "
                         f"{lanes_in_vector(operands.x.dtype)}, in arrays aligned to 16 bytes.")
    if variant == "tiled" and not operands.whole_tiles(*arrays):
        raise ValueError(f"{op}, variant tiled: an example ({operands.pixels} pixels of "
                         f"{operands.channels} channels) must be a multiple of 16 bytes, 8 of its "
                         f"pixels at most {maps.TILE} numbers, in arrays aligned to 16 bytes.")
    return variant


# ---- records ----------------------------------------------------------------------------------

_IDEAS = {
    "naive": "a thread for each pixel",
    "coalesced": "a thread for each number, neighbours at neighbouring addresses",
    "vectorized": "a thread for each 16 bytes",
    "tiled": "tiles of pixels staged in shared memory, 16 bytes at a time",
    "fused": "16 bytes at a time, log-dets summed on chip"}


def _example(op: str, variant: str, size: Size, dtype: str) -> tuple[Any, ...]:
    """Glow's split in halves where it is realistic; odd ones where it is small."""
    whole = variant in ("vectorized", "fused")
    if size == "small":
        examples, pixels, channels, deciding = (2, 7, 24, 8) if whole else (2, 24, 12, 5)
    else:
        examples, pixels, channels, deciding = (4, 625, 48, 24) if whole else (4, 1024, 12, 6)
    width = (1 if op.startswith("shift") else 2) * (channels - deciding)
    x, output, bar = (example_numbers((examples, pixels, last), dtype, seed)
                      for seed, last in enumerate((channels, width, channels)))
    if op not in _VJP_ELEMENTS:
        return x, output, deciding
    log_det_bar = np.random.default_rng(3).standard_normal(examples)
    return x, output, deciding, bar, log_det_bar.astype(np.float64 if dtype == "float64"
                                                        else np.float32)


def _bytes_of_map(x: Any, output: Any, deciding: int) -> int:
    """x, output and y, and a log-det for each example."""
    log_dets = x.shape[0] * max(x.dtype.itemsize, 4)
    return int((2 * x.size + output.size) * x.dtype.itemsize + log_dets)


def _bytes_of_vjp(x: Any, output: Any, deciding: int, bar: Any, log_det_bar: Any) -> int:
    """Of x only the mapped part, of output only the raw scales are read; the rest in full."""
    mapped = output.size // 2
    return int((mapped + mapped + 2 * bar.size + output.size) * x.dtype.itemsize
               + log_det_bar.size * log_det_bar.dtype.itemsize)


def _variant(op: str, variant: str) -> Variant:
    run = run_vjp if op in _VJP_ELEMENTS else run_map

    def operations(x: Any, output: Any, deciding: int, *bars: Any) -> int:
        return int(x.size // x.shape[-1]) * (int(x.shape[-1]) - deciding) * COUPLING_OPERATIONS[op]

    return Variant(
        op=op, name=variant, idea=_IDEAS[variant], run=partial(run, op, variant),
        example=partial(_example, op, variant),
        bytes_moved=_bytes_of_vjp if op in _VJP_ELEMENTS else _bytes_of_map,
        operations=operations, elements=lambda x, *rest: int(x.size),
        dtypes=("float32", "float64", "float16", "bfloat16"))


VARIANTS = tuple(_variant(op, variant) for op, variant in _KERNELS)
