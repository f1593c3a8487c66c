"""The roofline plot: valid files, everything in view, no label on another."""

import builtins
import io
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from refglow.kernels.bench import roofline_axes
from refglow.kernels.bench.roofline import encoded, roofline_figure
from refglow.kernels.bench.roofline_points import Ceiling, Point

CEILING = Ceiling(30e9, "copy, measured", 180e9, "float32 matrix product, measured")


def points(functions=20, moving=0):
    """Three variants of each function; many functions at nearly the same place."""
    rng = np.random.default_rng(0)
    intensities = [0.4, 0.41, 0.45, 2.0, 2.1, 30.0, 31.0, 90.0]
    made = []
    for k in range(functions):
        intensity = intensities[k % len(intensities)]
        limit = min(CEILING.rate, intensity * CEILING.bandwidth)
        made += [Point(f"function_{k}", variant, intensity, share * limit * rng.uniform(0.7, 1),
                       share * CEILING.bandwidth)
                 for variant, share in (("spec", 0.1), ("cpu", 0.8), ("other", 0.75))]
    return made + [Point(f"moving_{k}", "cpu", 0.0, 0.0, 20e9) for k in range(moving)]


def numbers(axes):
    return [text for text in axes.texts if text.get_text().isdigit()]


@pytest.mark.parametrize("moving", [0, 3])
def test_files_are_valid_and_repeatable(moving):
    made = [{kind: encoded(roofline_figure(points(5, moving), CEILING, "where"), kind)
             for kind in ("png", "svg")} for _ in range(2)]
    assert made[0] == made[1]
    with Image.open(io.BytesIO(made[0]["png"])) as picture:
        picture.load()
        assert picture.format == "PNG" and picture.width > 1000
    root = ElementTree.fromstring(made[0]["svg"])
    assert root.tag.endswith("svg")
    assert b"Date" not in made[0]["svg"]


def test_every_variant_is_a_point_in_view_and_the_ceilings_are_where_they_were_measured():
    given = points()
    axes, key = roofline_figure(given, CEILING, "where").axes
    drawn = {(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in axes.lines
             if line.get_marker() not in ("None", "")}
    assert drawn == {(point.intensity, point.rate / 1e9) for point in given}
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert all(left < x < right and bottom < y < top for x, y in drawn)
    slope, level = [line for line in axes.lines if line.get_color() == "black"]
    assert np.allclose(slope.get_ydata() / slope.get_xdata(), 30.0)
    assert np.allclose(level.get_ydata(), 180.0)
    assert np.allclose(level.get_xdata()[0], 6.0)
    assert "per byte" in axes.get_xlabel() and axes.get_ylabel() == "GFLOP/s"
    said = " ".join(text.get_text() for text in axes.texts)
    assert "copy, measured: 30 GB/s" in said
    assert "float32 matrix product, measured: 180 GFLOP/s" in said
    legend = [text.get_text() for text in key.get_legend().get_texts()]
    assert legend[:3] == ["spec", "cpu", "other"] and legend[3:5] == ["1  function_0",
                                                                     "2  function_1"]


def overlapping(axes):
    boxes = [roofline_axes._text_box(text) for text in numbers(axes)]
    return [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_labels_do_not_overlap(monkeypatch):
    axes, _ = roofline_figure(points(), CEILING, "where").axes
    assert [text.get_text() for text in numbers(axes)] == [str(k) for k in range(1, 21)]
    highest = [max((p.rate, p.intensity) for p in points() if p.name == f"function_{k}")
               for k in range(20)]
    assert [text.xy for text in numbers(axes)] == [(x, rate / 1e9) for rate, x in highest]
    assert not overlapping(axes)
    markers = [roofline_axes._box_around(axes.transData.transform((p.intensity, p.rate / 1e9)), 3)
               for p in points()]
    assert not any(roofline_axes._text_box(text).overlaps(box)
                   for text in numbers(axes) for box in markers)
    # planted: all labels at the first place that is tried
    monkeypatch.setattr(roofline_axes, "_REACH", (10,))
    monkeypatch.setattr(roofline_axes, "_DIRECTIONS", (np.pi / 2,))
    axes, _ = roofline_figure(points(), CEILING, "where").axes
    assert overlapping(axes)


def test_many_functions_with_long_names_leave_the_plot_its_width():
    long = [Point(f"activation_normalization_forward_vjp, x [64, 4096, 12], {k}", "cpu", 2.0 + k,
                  1e9, 1e9) for k in range(40)]
    figure = roofline_figure(long, CEILING, "where")
    axes, key = figure.axes
    assert axes.get_window_extent().width > 0.85 * figure.bbox.width
    box = key.get_legend().get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
    assert box.y1 < axes.get_window_extent().y0 - 20  # below the plot and its axis' text


def test_functions_without_arithmetic_are_bars():
    _, key, below = roofline_figure(points(2, 3), CEILING, "where").axes
    assert [bar.get_width() for bar in below.patches] == [20.0] * 3
    assert "67%" in [text.get_text() for text in below.texts]
    [only] = roofline_figure(points(0, 1), CEILING, "where").axes
    assert len(only.patches) == 1 and "30 GB/s" in only.get_xlabel()
    assert len(key.get_legend().get_texts()) == 3 + 2


def test_a_ceiling_of_operations_may_be_unknown():
    axes, _ = roofline_figure(points(2), Ceiling(30e9, "copy", None, ""), "where").axes
    assert len([line for line in axes.lines if line.get_color() == "black"]) == 1


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    importing = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}", name="matplotlib")
        return importing(name, *arguments, **named)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'matplotlib: pip install "refglow\[train\]"'):
        roofline_figure(points(1), CEILING, "where")
