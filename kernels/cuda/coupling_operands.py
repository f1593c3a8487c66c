"""A coupling's arguments as its kernels take them: checked, flat, with their sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.kernels.cuda.coupling_kernels import TILE
from refglow.kernels.cuda.device import Device, device_of
from refglow.kernels.cuda.layout import (
    ALL_TYPES,
    flat,
    lanes_in_vector,
    require_one_dtype,
    require_shape,
    vector_aligned,
)
from refglow.kernels.cuda.storage import computing_dtype
from refglow.kernels.cuda.vector_access import MOST_LANES


@dataclass(frozen=True)
class CouplingOperands:
    """What the kernels of a coupling take.

    Attributes:
      device: where the arrays are.
      dtype: the number type of x as it was given.
      x, output: flat arrays, [N, P, C] and [N, P, width].
      examples, pixels, channels: N, P, C.
      deciding: K.
      width: numbers of the network's output for one pixel.
    """

    device: Device
    dtype: np.dtype[Any]
    x: Any
    output: Any
    examples: int
    pixels: int
    channels: int
    deciding: int
    width: int

    @property
    def mapped(self) -> int:
        """How many channels of a pixel are mapped."""
        return self.channels - self.deciding

    @property
    def computing_dtype(self) -> np.dtype[Any]:
        """The number type of the arithmetic and of log-dets."""
        return computing_dtype(self.x.dtype)

    @property
    def pixels_in_tile(self) -> int:
        """How many pixels a block stages in shared memory; 0 where a pixel is too large for it."""
        return TILE // max(self.channels, self.width) // MOST_LANES * MOST_LANES

    def new(self, size: int) -> Any:
        """An array for results of the type of x, flat, nothing in it."""
        return self.device.xp.empty(size, self.x.dtype)

    def shaped(self, array: Any, channels: int) -> Any:
        """A flat result as [N, P, channels], in the number type of the arguments."""
        return array.view(self.dtype).reshape(self.examples, self.pixels, channels)

    def whole_vectors(self, *others: Any) -> bool:
        """Whether deciding and mapped channels, and these arrays, consist of aligned 16 bytes."""
        lanes = lanes_in_vector(self.x.dtype)
        return (self.deciding % lanes == 0 and self.mapped % lanes == 0
                and vector_aligned(self.x, self.output, *others))

    def whole_tiles(self, *others: Any) -> bool:
        """Whether tiles of pixels fit shared memory and consist of aligned 16 bytes."""
        lanes = lanes_in_vector(self.x.dtype)
        return (self.pixels_in_tile > 0 and self.pixels * self.channels % lanes == 0
                and self.pixels * self.width % lanes == 0
                and vector_aligned(self.x, self.output, *others))


def coupling_operands(op: str, x: Any, output: Any, deciding: int) -> CouplingOperands:
    """The arguments of a coupling's op, checked and prepared.

    Args:
      op: the op's name, which also says which coupling it is.
      x, output, deciding: as for the op.

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other.
    """
    device = device_of(x, output)
    dtype = require_one_dtype(op, ALL_TYPES, x=x, output=output)
    if x.ndim != 3:
        raise ValueError(f"{op}: x must be [N, P, C], N examples of P pixels of C channels; got "
                         f"shape {tuple(x.shape)}.")
    examples, pixels, channels = (int(n) for n in x.shape)
    if not 0 <= deciding < channels:
        raise ValueError(f"{op}: deciding must be 0 to C - 1, with C = {channels} channels; got "
                         f"{deciding}.")
    width = channels - deciding if op.startswith("shift") else 2 * (channels - deciding)
    require_shape(op, "output", output, (examples, pixels, width))
    return CouplingOperands(device, dtype, flat(device, x), flat(device, output), examples, pixels,
                            channels, deciding, width)


def require_bars(op: str, operands: CouplingOperands, bar: Any, log_det_bar: Any) -> None:
    """Raise unless the cotangents of a coupling's results fit its arguments.

    Raises:
      TypeError: the cotangent of the values has another type than they have, or is elsewhere.
      ValueError: a cotangent has another shape than its result.
    """
    device_of(operands.x, bar, log_det_bar)
    of_value, of_log_det = ("x_bar", "ildj_bar") if "inverse" in op else ("y_bar", "fldj_bar")
    if bar.dtype != operands.dtype:
        raise TypeError(f"{op}: {of_value} must be {operands.dtype}, as x is; got {bar.dtype}.")
    require_shape(op, of_value, bar, (operands.examples, operands.pixels, operands.channels))
    require_shape(op, of_log_det, log_det_bar, (operands.examples,))
