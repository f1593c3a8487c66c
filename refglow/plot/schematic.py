"""The schematic of TFP's documentation, drawn from a live model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.bijectors.glow import Glow, require_glow
from refglow.layer_name import block_of
from refglow.plot.style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    PURPLE,
    VERMILION,
    axes_for,
    ink,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BAR, _SQUEEZE, _EXIT, _BLOCK = 0.35, 0.7, 0.6, 2.0  # heights
_FALL = 0.6  # down to the latents: room for a whole arrow
_PINCH = 0.04  # of the whole width: how far a squeeze is drawn in at its waist
_MOST_LINES = 16  # of the steps in a block


@dataclass(frozen=True)
class Stage:
    """A part of the model, from the image down.

    Attributes:
      kind: "squeeze", "block" or "exit".
      block: which it belongs to; 0 is next to the latents.
      shape: (h, w, c) of what is still acted on below a squeeze, in a block, above an exit.
      exited: (h, w, c) of what exits here; c = 0 if nothing does.
      steps: of a block.
      step_parts: of a block: what each step consists of.
    """

    kind: str
    block: int
    shape: tuple[int, int, int]
    exited: tuple[int, int, int] = (0, 0, 0)
    steps: int = 0
    step_parts: tuple[str, ...] = ()


def stages_of(glow: Glow) -> list[Stage]:
    """The parts of a model in the order in which `inverse` applies them, shapes as they are there.

    Args:
      glow: the model.
    """
    from refglow.validation.layers import layers_towards_latent

    layers = layers_towards_latent(glow)
    shape = tuple(glow.parameters["output_shape"])
    stages = []
    for layer in layers:
        if layer.kind != "Expand":
            continue
        block = block_of(layer.name)
        shape = tuple(layer.bijector.inverse_event_shape(shape))
        leave, grab, _ = glow.blockwise_splits[block]
        active = (shape[0], shape[1], leave + grab)
        parts = [one.name.split(".") for one in layers if one.name.startswith(f"block{block}.step")]
        steps = {part[1] for part in parts}
        kinds = tuple(part[2] for part in parts if part[1] == "step0")
        stages += [Stage("squeeze", block, active),
                   Stage("block", block, active, (0, 0, 0), len(steps), kinds),
                   Stage("exit", block, active, (shape[0], shape[1], grab))]
    return stages


def schematic(glow: Any, ax: Axes | None = None) -> Axes:
    """The model from the image above to its latents below, with the shape at every stage.

    Widths are numbers: every row holds all H W C of them. `inverse` goes down: an Expand,
    backwards, squeezes pixels into channels; a block acts on what has not exited yet, once for
    each line across it; an exit couples the channels that exit, on its right, to those that stay;
    what has exited goes on down unchanged. `forward` goes up.

    Args:
      glow: the model. Nothing is computed with it.
      ax: where to draw; None: a new figure.

    Returns:
      the Axes. Each of its patches has what it is as `get_label()`: "block 1", "exit 1", ...

    Raises:
      ImportError: if matplotlib is missing.
      TypeError: if `glow` is no Glow of refglow, or `ax` no Axes.

    Source: tfp.bijectors.Glow, "Glow Schematic Diagram"; Kingma & Dhariwal 2018, figure 2.
    """
    model = require_glow(glow, "schematic draws")
    shape = tuple(model.parameters["output_shape"])
    stages = stages_of(model)
    blocks = len(model.blockwise_splits)
    axes = axes_for(ax, (9.5, 1.4 + 1.15 * blocks + 0.5))
    drawing = _Drawing(axes, int(np.prod(shape)))
    drawing.bar("image", GREY, f"image  {_text(shape)}")
    for stage in stages:
        drawing.stage(stage)
    drawing.latents(stages)
    drawing.finish()
    return axes


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


class _Drawing:
    """The picture while it grows downwards, 1 wide; `y` is where it has come to."""

    def __init__(self, axes: Axes, numbers: int) -> None:
        self.axes, self.numbers, self.ink = axes, numbers, ink(axes)
        self.y = 0.0
        self.exits: list[tuple[float, float, float, Stage]] = []  # left, width, top, stage

    def bar(self, label: str, colour: str, text: str) -> None:
        """All numbers in one row."""
        self._box(0.0, 1.0, _BAR, colour, label, 0.6)
        self._say(text, self.y - _BAR / 2)
        self.y -= _BAR

    def stage(self, stage: Stage) -> None:
        """One part, as wide as what it acts on."""
        width = float(np.prod(stage.shape)) / self.numbers
        if stage.kind == "squeeze":
            self._squeeze(stage, width)
        elif stage.kind == "block":
            self._block(stage, width)
        elif stage.exited[2]:
            self._exit(stage, width)

    def latents(self, stages: list[Stage]) -> None:
        """What has exited goes down to the latent vector, every piece with its shape."""
        last = stages[-1]
        h, w, active = last.shape
        stays = (h, w, active - last.exited[2])
        for left, width, top, stage in self.exits:
            self._box(left, width, top - self.y + _FALL, GREY, f"identity {stage.block}", 0.12, top)
            self._column_line(left + width / 2, top - 0.1, self.y - _FALL + 0.1)
        kept = float(np.prod(stays)) / self.numbers
        if kept:
            self._column_line(kept / 2, self.y, self.y - _FALL + 0.1)
        self.y -= _FALL
        self.bar("latent", GREEN, f"latent z  [{self.numbers}]")
        pieces = [(0.0, kept, stays)] if kept else []
        pieces += [(left, width, stage.exited) for left, width, _, stage in reversed(self.exits)]
        for k, (left, width, shape) in enumerate(pieces):
            self.axes.text(left + width / 2, self.y - 0.12, f"z{k}\n{_text(shape)}",
                           ha="center", va="top", fontsize="small", color=self.ink)

    def finish(self) -> None:
        """The directions, and a view that holds everything."""
        for x, start, end, text in ((1.05, -0.1, self.y + 0.1, "inverse"),
                                    (1.12, self.y + 0.1, -0.1, "forward")):
            self.axes.annotate("", (x, end), (x, start), annotation_clip=False,
                               arrowprops={"arrowstyle": "-|>", "color": self.ink,
                                           "linewidth": 1.2})
            self.axes.text(x + 0.012, self.y / 2, text, rotation=90, va="center", ha="left",
                           color=self.ink, fontsize="small")
        self.axes.set_xlim(-0.62, 1.18)
        self.axes.set_ylim(self.y - 0.75, 0.1)
        self.axes.set_axis_off()

    def _squeeze(self, stage: Stage, width: float) -> None:
        """Drawn in at the waist, as TFP draws it."""
        pinch = min(_PINCH, width / 4)
        top, middle, end = self.y, self.y - _SQUEEZE / 2, self.y - _SQUEEZE
        from matplotlib.patches import Polygon
        self.axes.add_patch(Polygon(
            [(0, top), (width, top), (width - pinch, middle), (width, end), (0, end),
             (pinch, middle)], closed=True, facecolor=GREEN, alpha=FAINT, edgecolor="none",
            label=f"squeeze {stage.block}"))
        self._say(f"squeeze (Expand)  {_text(stage.shape)}", middle)
        self.y = end

    def _block(self, stage: Stage, width: float) -> None:
        self._box(0.0, width, _BLOCK, BLUE, f"block {stage.block}", FAINT)
        lines = min(stage.steps, _MOST_LINES)
        for k in range(lines):
            height = self.y - (k + 0.5) * _BLOCK / lines
            self.axes.plot([0.06 * width, 0.94 * width], [height, height], color=BLUE,
                           linewidth=1.5, solid_capstyle="butt")
        names = {"actnorm": "ActNorm", "conv": "1x1 conv", "coupling": "coupling"}
        parts = ", ".join(names[part] for part in stage.step_parts)
        self._say(f"block {stage.block}  {_text(stage.shape)}\n{stage.steps} "
                  f"step{'' if stage.steps == 1 else 's'}" + (f": {parts}" if parts else ""),
                  self.y - _BLOCK / 2)
        self.y -= _BLOCK

    def _exit(self, stage: Stage, width: float) -> None:
        """What stays and what exits, the latter hatched and remembered."""
        exits = float(np.prod(stage.exited)) / self.numbers
        stays = width - exits
        if stays > 0:
            self._box(0.0, stays, _EXIT, PURPLE, f"stays {stage.block}", FAINT)
        self._box(stays, exits, _EXIT, VERMILION, f"exit {stage.block}", FAINT, hatch="\\\\\\")
        self._say(f"exit  {_text(stage.exited)} to z", self.y - _EXIT / 2)
        self.y -= _EXIT
        self.exits.append((stays, exits, self.y, stage))

    def _box(self, left: float, width: float, height: float, colour: str, label: str,
             alpha: float, top: float | None = None, hatch: str | None = None) -> None:
        from matplotlib.colors import to_rgba
        from matplotlib.patches import Rectangle
        start = self.y if top is None else top
        self.axes.add_patch(Rectangle(
            (left, start - height), width, height, facecolor=to_rgba(colour, alpha),
            edgecolor=colour, linewidth=1.0, label=label, hatch=hatch))

    def _column_line(self, x: float, top: float, end: float) -> None:
        self.axes.annotate("", (x, end), (x, top), annotation_clip=False,
                           arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 1.0})

    def _say(self, text: str, height: float) -> None:
        """Beside the picture, on the left."""
        self.axes.text(-0.03, height, text, ha="right", va="center", fontsize="small",
                       color=self.ink)
