"""Pictures and charts: which colour a number gets, what is left out, where columns stand."""

import re

import numpy as np
import pytest

from refglow.explain.charts import line_of, linear_scale, waterfall
from refglow.explain.picture import NOT_FINITE, TOP, ZERO, colours_of, grid, picture_of
from refglow.explain.terminal import picture_text


def test_levels_are_numbers_to_half_a_step():
    tensor = np.random.default_rng(0).standard_normal((5, 4, 3))
    drawn = picture_of(tensor)
    assert drawn.limit == np.abs(tensor).max() and drawn.left_out == ""
    numbers = (drawn.levels.astype(float) - ZERO) / ZERO * drawn.limit
    np.testing.assert_allclose(numbers, np.moveaxis(tensor, -1, 0), rtol=0,
                               atol=0.5001 * drawn.limit / ZERO)
    assert {0, TOP} & set(drawn.levels.ravel().tolist())


def test_signs_zeros_and_what_is_not_finite():
    drawn = picture_of(np.array([[[-2.0], [0.0], [2.0], [np.nan], [np.inf]]]))
    assert drawn.levels.tolist() == [[[0, ZERO, TOP, NOT_FINITE, NOT_FINITE]]]
    assert picture_of(np.zeros((2, 2, 1))).levels.tolist() == [[[ZERO] * 2] * 2]
    assert picture_text(drawn, False).plain.splitlines()[0] == "c.3??"


def test_channels_stand_in_reading_order():
    tensor = np.arange(2 * 3 * 4, dtype=float).reshape(2, 3, 4)
    drawn = picture_of(tensor)
    cells = grid(drawn)
    for k in range(4):
        top, left = k // drawn.columns * 3, k % drawn.columns * 4
        assert np.array_equal(cells[top:top + 2, left:left + 3], drawn.levels[k])
    assert (cells == -1).sum() == cells.size - tensor.size


@pytest.mark.parametrize(("channels", "columns"), [(1, 1), (3, 3), (4, 2), (12, 4), (48, 8)])
def test_rows_of_channels_are_full(channels, columns):
    assert picture_of(np.zeros((8, 8, channels))).columns == columns


def test_a_vector_is_shown_in_lines():
    drawn = picture_of(np.arange(96.0))
    assert drawn.levels.shape == (1, 2, 48)  # full ones: what is not there would look not finite
    assert drawn.levels[0, 1, -1] == TOP and NOT_FINITE not in drawn.levels
    assert picture_of(np.arange(3072.0)).levels.shape == (1, 48, 64)


@pytest.mark.parametrize(("shape", "most", "shown", "said"), [
    ((8, 8, 10), 256, (4, 8, 8), "the first 4 of 10 channels"),
    ((32, 32, 10), 1024, (4, 16, 16), "the first 4 of 10 channels, means of 2 x 2 pixels"),
    ((30, 20, 1), 160, (1, 15, 10), "means of 2 x 2 pixels")])
def test_what_is_too_large_is_left_out_and_said(shape, most, shown, said):
    tensor = np.random.default_rng(0).standard_normal(shape)
    drawn = picture_of(tensor, most)
    assert drawn.levels.shape == shown and drawn.left_out == said
    assert drawn.levels.size <= most
    tile = drawn.tile
    numbers = (drawn.levels[0].astype(float) - ZERO) / ZERO * drawn.limit
    assert numbers[0, 0] == pytest.approx(tensor[:tile, :tile, 0].mean(),
                                          abs=drawn.limit / ZERO)
    assert numbers[-1, -1] == pytest.approx(tensor[-tile:, -tile:, 0].mean(),
                                            abs=drawn.limit / ZERO)


def test_an_image_in_its_own_colours():
    image = np.array([[[-0.5, 0.0, 0.499], [np.nan, -9.0, 9.0]]])
    assert colours_of(image).tolist() == [[[0, 128, 255], [0, 0, 255]]]
    assert colours_of(image[..., :1]).shape == (1, 2, 3)


def corners(path):
    """(left, from, to), in per cent from below, of each column of a path."""
    found = re.findall(r"M([\d.]+) ([\d.-]+)h[\d.]+v([\d.-]+)h-[\d.]+z", path)
    return [(float(left), 100 - float(top), 100 - float(top) - float(height))
            for left, top, height in found]


def test_the_waterfall_goes_from_sum_to_sum():
    log_dets = [0.0, 10.0, -4.0, 6.0]
    drawn = waterfall(log_dets)
    up, down = corners(drawn.up), corners(drawn.down)
    assert [round(column[0] // 250) for column in up + down] == [1, 3, 2]
    for (_, low, high), ends in zip(up + down, [(0, 10), (6, 12), (10, 6)], strict=True):
        assert (low, high) == pytest.approx([drawn.scale.percent(end) for end in ends], abs=0.02)
    assert not waterfall([np.nan, 1.0]).up


def test_the_line_goes_through_all_places():
    drawn = line_of([3.0, 5.0, np.inf, 4.0])
    points = re.findall(r"([ML])([\d.]+) ([\d.]+)", drawn.path)
    assert [(kind, float(x)) for kind, x, _ in points] == [
        ("M", 0), ("L", pytest.approx(333.33)), ("M", 1000)]
    assert [100 - float(y) for _, _, y in points] == pytest.approx(
        [drawn.scale.percent(value) for value in (3, 5, 4)], abs=0.02)


@pytest.mark.parametrize("values", [[0.0], [1e-9, 2e-9], [-3e5, 7e5], [9.1, 9.4], [5.0, 5.0]])
def test_ticks_are_few_and_on_the_scale(values):
    scale = linear_scale(values)
    assert 2 <= len(scale.ticks) <= 7
    assert all(0 <= tick.percent <= 100 for tick in scale.ticks)
    assert all(0 <= scale.percent(value) <= 100 for value in values)
