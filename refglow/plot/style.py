"""What all pictures share: the Axes they draw into, and their colours.

The colours are four of Okabe and Ito's, which people with any kind of colour vision tell apart, and
grey. Each has a contrast of at least 3 to white and to a page that is nearly black.

Source: Okabe & Ito 2008, "Color universal design"; WCAG 2.2, 1.4.11, for the contrast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refglow.extras import from_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#808080"
FAINT = 0.3  # opacity of areas that text or lines lie on

# The explorer page gives each kind a blue, green, purple or orange of its own (explorer/page.css).
LAYER_COLOURS = {"actnorm": BLUE, "conv": GREEN, "coupling": PURPLE, "exit": VERMILION}
LAYER_NAMES = {"actnorm": "ActNorm", "conv": "1x1 convolution", "coupling": "coupling",
               "exit": "exit"}


def axes_for(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The Axes to draw into.

    Args:
      ax: the caller's; None for that of a new figure of pyplot.
      size: (width, height) of a new figure, in inches.

    Raises:
      ImportError: if matplotlib is missing; says how to install it.
      TypeError: if `ax` is no Axes with two straight axes.
    """
    with from_extra("train", "Plots"):
        from matplotlib.axes import Axes
    if ax is None:
        import matplotlib.pyplot as plt
        _, ax = plt.subplots(figsize=size, layout="constrained")
    if not isinstance(ax, Axes) or ax.name != "rectilinear":
        raise TypeError("ax must be one matplotlib Axes with x and y, as plt.subplots() gives; got "
                        f"{f'a {ax.name} one' if isinstance(ax, Axes) else type(ax).__name__}.")
    return ax


def ink(ax: Axes) -> Any:
    """The colour in which the Axes writes: dark on light backgrounds, light on dark ones."""
    return ax.xaxis.label.get_color()


def plain(ax: Axes) -> None:
    """Leave away the upper and the right side of the box."""
    ax.spines[["top", "right"]].set_visible(False)


def mark_blocks(ax: Axes, layers: list[str]) -> None:
    """Name the blocks along the x axis and put thin lines between them; layer k is at x = k."""
    blocks = [name.partition(".")[0] for name in layers]
    starts = [k for k, block in enumerate(blocks) if k == 0 or block != blocks[k - 1]]
    ends = [*starts[1:], len(layers)]
    ax.set_xticks([(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)],
                  [blocks[start].replace("block", "block ") for start in starts])
    ax.tick_params(axis="x", length=0)
    for start in starts[1:]:
        ax.axvline(start - 0.5, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    ax.set_xlim(-0.7, len(layers) - 0.3)
