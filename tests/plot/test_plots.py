"""Plots: the numbers in what is drawn are the model's, on any background, and nothing else changes.

What is looked at are matplotlib's artists, never pixels.
"""

import builtins

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from plotted import (
    CEILINGS,
    DRAWN,
    bench_report,
    colour_model,
    found,
    images,
    measured,
    model,
    report,
)

import refglow as rg
from refglow.distributions import Normal, Sample
from refglow.plot.images import grid_of
from refglow.plot.latents import tiles
from refglow.plot.schematic import stages_of
from refglow.plot.style import BLUE, GREEN, GREY, PURPLE, VERMILION


def texts(ax):
    return [text for text in ax.findobj(matplotlib.text.Text) if text.get_text().strip()
            and text.get_visible()]


def test_all_public_names_are_here():
    assert sorted(DRAWN) == sorted(rg.plot.__all__)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_one_axes_in_and_out_and_all_text_in_its_colour(name, style):
    with plt.style.context(style):
        figure, (given, other) = plt.subplots(1, 2)
        colour = to_rgb(given.xaxis.label.get_color())
    before = dict(matplotlib.rcParams)
    # Outside the style, the Axes still knows in which colour it writes.
    assert DRAWN[name](given) is given
    assert {to_rgb(text.get_color()) for text in texts(given)} == {colour}
    assert not other.has_data() and dict(matplotlib.rcParams) == before
    with plt.style.context(style):
        before = dict(matplotlib.rcParams)
        ax = DRAWN[name]()
        assert dict(matplotlib.rcParams) == before
        ax.figure.canvas.draw()
    assert ax.figure is not figure and ax.figure.number in plt.get_fignums()


@pytest.mark.parametrize("name", DRAWN)
def test_bad_axes_and_a_missing_matplotlib_are_told(name, monkeypatch):
    figure, pair = plt.subplots(1, 2)
    for bad, what in ((pair, "ndarray"), (figure, "Figure"),
                      (plt.figure().add_subplot(projection="polar"), "a polar one")):
        with pytest.raises(TypeError, match=f"one matplotlib Axes.*{what}"):
            DRAWN[name](bad)
    importing = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}", name="matplotlib")
        return importing(name, *arguments, **named)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'^Plots cannot .* pip install "refglow\[train\]"\.$'):
        DRAWN[name]()


def luminance(colour):
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_colours_stand_out_from_light_and_dark():
    for colour in (BLUE, VERMILION, GREEN, PURPLE, GREY):
        assert 1.05 / (luminance(colour) + 0.05) > 3
        assert (luminance(colour) + 0.05) / (luminance("#131416") + 0.05) > 3


def test_the_schematic_has_the_shapes_and_widths_of_the_model():
    glow = colour_model()
    ax = rg.plot.schematic(glow)
    said = "\n".join(text.get_text() for text in texts(ax))
    pieces = glow.split_latents(glow.inverse(images(glow)))
    for k, piece in enumerate(pieces):
        assert f"z{k}\n{list(piece.shape[1:])}" in said
    assert "image  [8, 4, 3]" in said and "latent z  [96]" in said
    assert "block 1  [4, 2, 12]\n1 step: ActNorm, 1x1 conv, coupling" in said
    boxes = {patch.get_label(): patch for patch in ax.patches if hasattr(patch, "get_width")}
    widths = {label: box.get_width() for label, box in boxes.items()}
    splits = glow.blockwise_splits
    assert "exit  [4, 2, 3] to z" in said and splits[1] == [9, 3, 0]
    assert "leave" not in said  # in blockwise_splits that goes on to the next block
    for block, (leave, grab, passed) in enumerate(splits):
        channels = leave + grab + passed
        assert widths[f"block {block}"] == pytest.approx((leave + grab) / channels)
        assert widths[f"exit {block}"] == pytest.approx(grab / channels)
        for label in (f"exit {block}", f"identity {block}"):  # what exits goes on straight down
            assert boxes[label].get_x() == pytest.approx(leave / channels)
    assert [stage.kind for stage in stages_of(glow)] == ["squeeze", "block", "exit"] * 2


def test_a_figure_of_latents_is_as_wide_as_they_are():
    """So that those of a small model do not stand at its edge."""
    small = rg.bijectors.Glow((4, 4, 1), 1, 1, seed=0)
    pixels = np.random.default_rng(0).random((2, 4, 4, 1), dtype=np.float32)
    small.initialize(pixels)
    narrow = rg.plot.latents(small, pixels).figure.get_size_inches()[0]
    wide = rg.plot.latents(model(), images(model())).figure.get_size_inches()[0]
    assert narrow < 5 < wide <= 9


def test_latents_are_the_models_pieces():
    glow = model()
    x = images(glow)
    ax = rg.plot.latents(glow, x)
    pieces = glow.split_latents(glow.inverse(x))
    shown = [image.get_array().filled(np.nan) for image in ax.images]
    expected = [tiles(one) for piece in pieces for one in piece]
    assert len(shown) == len(expected) == 3 * len(pieces)
    for a, b in zip(shown, expected, strict=True):
        assert np.array_equal(a, b, equal_nan=True)
    first, grid = pieces[0][0], expected[0]  # [2, 3, 16] in four columns
    assert set(first.ravel()) == set(grid[np.isfinite(grid)])
    repeated = grid.shape[1] // 4 // first.shape[1]
    for k, channel in enumerate(np.moveaxis(first, -1, 0)):
        top, left = k // 4 * (2 * repeated + 1), k % 4 * (3 * repeated + 1)
        place = grid[top:top + 2 * repeated, left:left + 3 * repeated]
        assert np.array_equal(place, np.kron(channel, np.ones((repeated, repeated))))
    assert np.isnan(grid[2 * repeated]).all() and np.isnan(grid[:, 3 * repeated]).all()
    said = "\n".join(text.get_text() for text in texts(ax))
    for piece in pieces:
        assert f"mean {piece.mean():.2f}, sd {piece.std():.2f}" in said
    assert len(rg.plot.latents(glow, x[0]).images) == len(pieces)


def test_samples_are_those_of_the_model_and_of_the_distribution():
    glow = colour_model()
    grid = rg.plot.samples(glow, 5, 0.7, seed=3, columns=2).images[0].get_array()
    z = Sample(Normal(0.0, 0.7), (96,)).sample(5, seed=np.random.default_rng(3))
    expected = np.clip(glow.forward(z).astype(float) + 0.5, 0, 1)
    assert grid.shape == (3 * 9 - 1, 2 * 5 - 1, 4)
    for k, image in enumerate(expected):
        top, left = k // 2 * 9, k % 2 * 5
        assert np.allclose(grid[top:top + 8, left:left + 4, :3], image)
    assert (grid[8, :, 3] == 0).all() and (grid[18:, 5:, 3] == 0).all()
    px = glow(Sample(Normal(0.0, 1.0), (96,)))
    same = rg.plot.samples(px, 5, seed=3, levels=(-2, 2)).images[0].get_array()
    shown = np.clip((px.sample(5, seed=3) + 2) / 4, 0, 1)
    assert np.allclose(same, grid_of(shown, None))


def test_what_is_not_finite_is_black_and_counted():
    glow = colour_model().astype(np.float64)
    state, name = glow.state_dict(), "block0.step0.coupling.conv3.kernel"
    glow.load_state_dict(state | {name: np.full_like(state[name], np.inf)})
    px = rg.bijectors.Glow((2, 2, 1), 1, 0)(Sample(Normal(0.0, np.inf), (4,)))
    for drawn in (glow, px):
        ax = rg.plot.samples(drawn, 2, levels=(-1.0, 1.0))
        assert "2 not finite" in ax.get_title()
        assert set(ax.images[0].get_array()[..., :3].ravel()) == {0.0}


def test_the_waterfall_falls_by_each_layers_log_det_to_the_whole():
    glow = model()
    x = images(glow)
    ax = rg.plot.logdet_waterfall(glow, x)
    heights = np.array([bar.get_height() for bar in ax.patches])
    starts = np.array([bar.get_y() for bar in ax.patches])
    assert np.allclose(starts, np.cumsum(heights) - heights)
    total = float(glow.inverse_log_det_jacobian(x, 3).mean())
    assert heights.sum() == pytest.approx(total)
    assert any(text.get_text() == f"{total:.4g}\nnats\nin all" for text in ax.texts)
    truth = found("").reference.truth
    by_layer = {name.removesuffix("/log_det"): np.mean(value) for name, value in truth.items()
                if name.endswith("/log_det") and "squeeze" not in name}
    ours = rg.plot.logdet_waterfall(glow, found("").reference.x)
    assert np.allclose([bar.get_height() for bar in ours.patches], list(by_layer.values()))
    key = {to_rgb(patch.get_facecolor()): text.get_text() for patch, text in zip(
        ours.get_legend().get_patches(), ours.get_legend().get_texts(), strict=True)}
    words = {"actnorm": "ActNorm", "conv": "1x1 convolution", "coupling": "coupling",
             "exit": "exit"}
    assert [key[to_rgb(bar.get_facecolor())] for bar in ours.patches] == [
        words[name.rpartition(".")[2]] for name in by_layer]


def test_blocks_are_named_below_the_middle_of_their_layers():
    ax = rg.plot.error_by_layer([("block1.a", 1.0), ("block1.b", 1.0), ("block0.a", 1.0),
                                 ("block0.b", 1.0), ("block0.c", 1.0)])
    assert {text.get_text(): text.get_position()[0] for text in ax.get_xticklabels()} == {
        "block 1": 0.5, "block 0": 3.0}
    assert 1.5 in [line.get_xdata()[0] for line in ax.lines]


def test_errors_are_those_of_the_report():
    one = report()
    ax = rg.plot.error_by_layer(one)
    layers = one.types[0].layers
    drawn = {}
    for line in ax.lines:
        if line.get_label() in ("alone", "wrong alone"):
            drawn |= dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    low = min(drawn.values())
    assert [drawn[k] for k in range(len(layers))] == pytest.approx(
        [layer.alone.output.error or low for layer in layers])
    by_label = {line.get_label(): line for line in ax.lines}
    assert list(by_label["with all that came before"].get_ydata()) == pytest.approx(
        [layer.on_the_way.output.error or low for layer in layers])
    assert list(by_label["largest that passes"].get_ydata()) == pytest.approx(
        [layer.alone.output.tolerance for layer in layers])
    wrong = by_label["wrong alone"]
    assert list(wrong.get_xdata()) == [k for k, layer in enumerate(layers)
                                       if not layer.alone.output.passed]
    assert one.types[0].found.first_wrong_layer in [text.get_text() for text in ax.texts]
    assert len(rg.plot.error_by_layer(found("")).lines) >= 3
    narrow = rg.plot.error_by_layer(one, dtype="float32")
    assert narrow.get_ylim() != ax.get_ylim()


def test_errors_that_no_logarithm_has_are_shown_as_such():
    ax = rg.plot.error_by_layer([("a.x", 0.0), ("b.x", np.nan, 1e-15), ("b.y", 1e-16, 1e-15)])
    assert {"exact", "not finite"} <= {text.get_text() for text in ax.texts}
    [right] = [line for line in ax.lines if line.get_label() == "alone"]
    assert list(right.get_xdata()) == [0, 2]


def test_the_roofline_has_the_points_of_the_report():
    ax = rg.plot.roofline(bench_report())
    points = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in ax.lines
              if line.get_marker() not in ("None", "")}
    assert points == {(15.0, 600.0), (15.0, 150.0)}
    key = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "squeeze_forward, x [2]: no operations; of the copy's rate cpu 133%" in key
    same = rg.plot.roofline([measured(), measured("slow", seconds=4e-9)], CEILINGS)
    assert len(same.lines) == len(ax.lines)
    [bar] = rg.plot.roofline([measured("squeeze", 0)], CEILINGS).patches
    assert bar.get_width() == pytest.approx(40.0)


def test_drawing_changes_no_model():
    glow = model()
    before = {name: value.copy() for name, value in glow.state_dict().items()}
    rg.plot.schematic(glow)
    rg.plot.latents(glow, images(glow))
    rg.plot.logdet_waterfall(glow, images(glow))
    assert all(np.array_equal(value, before[name]) for name, value in glow.state_dict().items())
