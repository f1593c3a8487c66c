"""One pixel of one stage, worked through by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.backend import use_backend
from refglow.dtypes import Array
from refglow.explain.equations import MOST
from refglow.explain.record import Stage, Trace
from refglow.explain.worked_coupling import coupling_sections
from refglow.explain.worked_linear import actnorm_sections, conv_sections
from refglow.explain.worked_moves import latents_sections, squeeze_sections
from refglow.validation.layers import Layer


@dataclass(frozen=True)
class Section:
    """Some lines under a title."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Worked:
    """The numbers of one pixel. It prints as text.

    Attributes:
      stage: the name of the stage.
      row, column: of the pixel, at the resolution of the stage (of a squeeze, the coarser one).
      where: that in words.
      sections: the numbers.
    """

    stage: str
    row: int
    column: int
    where: str
    sections: tuple[Section, ...]

    def __str__(self) -> str:
        parts = [self.where, *("\n".join([one.title, *(f"  {line}" for line in one.lines)])
                               for one in self.sections)]
        return "\n".join(parts)

    __repr__ = __str__

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"stage": self.stage, "row": self.row, "column": self.column, "where": self.where,
                "sections": [{"title": one.title, "lines": list(one.lines)}
                             for one in self.sections]}


@dataclass(frozen=True)
class Place:
    """What the sections of a pixel are made from.

    Attributes:
      stage, layer: which.
      to_latent: the direction.
      example, row, column: which pixel.
      most: how many terms and channels are written out.
    """

    stage: Stage
    layer: Layer
    to_latent: bool
    example: int
    row: int
    column: int
    most: int

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the stage's tensors, of a squeeze's coarser one."""
        return _coarser(self.stage)

    def numbers(self, tensor: Array) -> list[float]:
        """The pixel's active channels in a tensor [B, h, w, C] of the stage's resolution."""
        part = tensor[self.example, self.row, self.column, :self.stage.active]
        return [float(value) for value in part]


_SECTIONS: dict[str, Callable[[Place], list[tuple[str, list[str]]]]] = {
    "squeeze": squeeze_sections, "actnorm": actnorm_sections, "conv": conv_sections,
    "coupling": coupling_sections, "exit": coupling_sections, "latents": latents_sections}


def worked(trace: Trace, name: str, row: int | None = None, column: int | None = None, *,
           example: int = 0, most: int = MOST) -> Worked:
    """The numbers of one pixel of one stage, worked through by hand.

    Args:
      trace: of a pass.
      name: of the stage.
      row, column: of a pixel of the image; the stage's pixel is the one that holds it. None: the
        middle.
      example: of the batch.
      most: how many terms of a sum, and channels, are written out.

    Raises:
      ValueError: if there is no such stage, pixel or example.
    """
    position = trace.position(name)
    stage = trace.stages[position]
    height, width, _ = trace.glow.parameters["output_shape"]
    row = height // 2 if row is None else row
    column = width // 2 if column is None else column
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(f"The image has rows 0 to {height - 1} and columns 0 to {width - 1}; got "
                         f"the pixel {row},{column}.")
    if not 0 <= example < len(trace.start):
        raise ValueError(f"The trace has examples 0 to {len(trace.start) - 1}; got {example}.")
    h, w = _coarser(stage)
    place = Place(stage, trace.layers[position], trace.to_latent, example, row * h // height,
                  column * w // width, most)
    with use_backend("spec"), np.errstate(all="ignore"):
        sections = _SECTIONS[stage.kind](place)
    where = (f"Pixel {row},{column} of the image (row,column) is pixel {place.row},{place.column} "
             f"of {h} x {w} in {stage.name}.")
    return Worked(stage.name, place.row, place.column, where,
                  tuple(Section(title, tuple(lines)) for title, lines in sections))


def _coarser(stage: Stage) -> tuple[int, int]:
    """(H, W) of the smaller of a stage's tensors; the latent vector has none."""
    sizes = [tensor.shape[1:3] for tensor in (stage.input, stage.output) if tensor.ndim == 4]
    h, w = min(sizes)
    return int(h), int(w)
