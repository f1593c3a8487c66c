"""What a trace holds: the stages of one pass through a Glow, as plain data."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.dtypes import Array
from refglow.explain.statistics import Statistics, statistics_of

if TYPE_CHECKING:
    from refglow.bijectors.glow import Glow
    from refglow.explain.pixel import Worked
    from refglow.validation.layers import Layer

_AUDIT_NAMES = {"expand": "squeeze", "reshape": "latents"}  # what `refglow audit` calls them


@dataclass(frozen=True, eq=False)
class Running:
    """The bits per dimension at one place of a pass; its two parts and `n_bits` add up to it.

    Attributes:
      log_dets: [B], what the stages' log-dets until here are worth.
      prior: [B], what the standard normal takes: towards the latent for the numbers at this place,
        towards the image for the latents that the pass began with.
      total: [B], n_bits + prior + log_dets.
    """

    log_dets: Array
    prior: Array
    total: Array


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of a pass.

    In formulas x is what goes in and y what comes out, in either direction.

    Attributes:
      name: as the parameters are named: "block1.step3.coupling", "block1.squeeze", "block0.exit";
        "latents" where the tensor is flattened to the latent vector.
      kind: "squeeze", "actnorm", "conv", "coupling", "exit" or "latents".
      title, words: what it is, in a few words; what it does, in a sentence.
      maths, log_det_maths: the same as a formula, and that of its log-det.
      input, output: [B, h, w, C], the numbers before and after it, those that have exited included.
      active: how many of the output's channels have not exited before; the stage acts on them.
      log_det: [B], float64, log|det dy/dx| in nats: ildj towards the latent, fldj towards the
        image.
      running: the bits per dimension behind it.
      condition: [B], cond(dy/dx) at this input, the largest over the smallest singular value of its
        Jacobian; NaN where it was not measured.
      condition_how: how that was found, or why not.
    """

    name: str
    kind: str
    title: str
    words: str
    maths: str
    log_det_maths: str
    input: Array = field(repr=False)
    output: Array = field(repr=False)
    active: int
    log_det: Array = field(repr=False)
    running: Running = field(repr=False)
    condition: Array = field(repr=False)
    condition_how: str

    @property
    def shape_in(self) -> tuple[int, ...]:
        """Of the input, without the batch."""
        return tuple(self.input.shape[1:])

    @property
    def shape_out(self) -> tuple[int, ...]:
        """Of the output, without the batch."""
        return tuple(self.output.shape[1:])

    @property
    def active_output(self) -> Array:
        """[B, h, w, active], the channels that have not exited before; a vector whole."""
        return self.output[..., :self.active] if self.output.ndim == 4 else self.output

    @cached_property
    def statistics(self) -> Statistics:
        """Of the active channels of the output."""
        return statistics_of(self.active_output)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the tensors."""
        return {"name": self.name, "kind": self.kind, "title": self.title, "words": self.words,
                "maths": self.maths, "log_det_maths": self.log_det_maths,
                "shape_in": list(self.shape_in), "shape_out": list(self.shape_out),
                "active_channels": self.active, "log_det": self.log_det.tolist(),
                "running": running_dict(self.running), "condition": self.condition.tolist(),
                "condition_how": self.condition_how, "statistics": self.statistics.as_dict()}


def running_dict(running: Running) -> dict[str, Any]:
    """For JSON."""
    return {"log_dets": running.log_dets.tolist(), "prior": running.prior.tolist(),
            "bits_per_dim": running.total.tolist()}


def known_name(name: str, names: Sequence[str]) -> str:
    """The stage's name that is meant by a name; `refglow audit` calls some otherwise.

    Args:
      name: what a user wrote.
      names: of all stages.

    Raises:
      ValueError: if there is no such stage; names those that are most like it.
    """
    head, _, last = name.strip().rpartition(".")
    wanted = f"{head}.{_AUDIT_NAMES.get(last, last)}".lstrip(".")
    if wanted in names:
        return wanted
    near = difflib.get_close_matches(wanted, names, 3, 0.5)
    hint = f"Nearest are {', '.join(near)}." if near else (
        f"Stages are called {', '.join(names[:4])}, ...")
    raise ValueError(f"The model has no stage {name!r}. {hint}")


@dataclass(frozen=True, eq=False)
class Trace:
    """A pass through a Glow, stage by stage. It prints as a short table.

    Attributes:
      direction: "inverse" (from image to latent) or "forward" (from latent to image), as in TFP.
      n_bits: of the levels that bits per dimension are counted for.
      start: [B, H, W, C] or [B, D], what went in.
      started: the bits per dimension before the first stage.
      stages: in the order in which they are computed.
      glow, layers: the model, and its layer of each stage.
    """

    direction: str
    n_bits: int
    start: Array = field(repr=False)
    started: Running = field(repr=False)
    stages: tuple[Stage, ...]
    glow: Glow = field(repr=False)
    layers: tuple[Layer, ...] = field(repr=False)

    @property
    def to_latent(self) -> bool:
        """Whether the pass goes from image to latent."""
        return self.direction == "inverse"

    @property
    def result(self) -> Array:
        """What came out: latents [B, D], or images [B, H, W, C]."""
        return self.stages[-1].output

    @property
    def log_det(self) -> Array:
        """[B], float64, the sum of the stages' log-dets, in nats."""
        return np.asarray(np.sum([stage.log_det for stage in self.stages], axis=0))

    @property
    def bits_per_dim(self) -> Array:
        """[B], of the images, whichever end they are at."""
        return self.stages[-1].running.total

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the stages."""
        return tuple(stage.name for stage in self.stages)

    def position(self, name: str) -> int:
        """Which stage has this name.

        Raises:
          ValueError: if none has; names those that are most like it.
        """
        return self.names.index(known_name(name, self.names))

    def at(self, name: str) -> Stage:
        """The stage of that name.

        Raises:
          ValueError: as for `position`.
        """
        return self.stages[self.position(name)]

    def pixel(self, name: str, row: int | None = None, column: int | None = None, *,
              example: int = 0) -> Worked:
        """The numbers of one pixel of a stage, worked through by hand.

        Args:
          name: of the stage, as in `block1.step0.coupling`.
          row, column: of a pixel of the image; the stage's pixel is the one that holds it. None:
            the middle.
          example: of the batch.

        Returns:
          Sections of equations in numbers, which prints as text.

        Raises:
          ValueError: there is no such stage, pixel or example.
        """
        from refglow.explain.pixel import worked
        return worked(self, name, row, column, example=example)

    def write_html(self, path: str | os.PathLike[str], model: str = "a Glow",
                   shown: str = "", *, pixel: tuple[int | None, int | None] = (None, None),
                   at: str | None = None, example: int = 0) -> None:
        """Write one HTML page with a slider over the stages, atomically.

        Args:
          path: of the file.
          model, shown: what the trace is of, in words; by default an image, or latents.
          pixel: (row, column) of the image, whose numbers are worked through; None: the middle.
          at: the stage that the page begins with; None: the first.
          example: of the batch, which is shown.

        Raises:
          OSError: the file cannot be written.
          ValueError: there is no such pixel, stage or example.
        """
        from refglow.explain.page import write_page
        write_page(path, self, model, shown or ("an image" if self.to_latent else "latents"),
                   pixel=pixel, at=at, example=example)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, without the tensors."""
        return {"direction": self.direction, "n_bits": self.n_bits,
                "examples": len(self.start), "started": running_dict(self.started),
                "log_det": self.log_det.tolist(), "bits_per_dim": self.bits_per_dim.tolist(),
                "stages": [stage.as_dict() for stage in self.stages]}

    def __repr__(self) -> str:
        from refglow.explain.text import short_table
        return short_table(self)
