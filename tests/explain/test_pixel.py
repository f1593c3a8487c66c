"""A pixel by hand: every line of arithmetic that is printed is computed again from itself."""

import math
import re

import numpy as np
import pytest
from glows import OPTIONS, glow_of, images_of, start_of

from refglow.bijectors.scale_matvec_lu import lu_reconstruct
from refglow.explain import trace
from refglow.explain.equations import products, sum_of
from refglow.explain.pixel import worked

DIRECTIONS = ("inverse", "forward")
NAMES = {"sigmoid": lambda r: 1 / (1 + math.exp(-r)), "exp": math.exp, "log": math.log, "abs": abs}
NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"
DIGITS = 2e-5  # what roundings to six digits come to in sums of some tens of terms


def arithmetic(text):
    """(name, left side, right side) of all lines that are arithmetic alone."""
    for line in text.splitlines():
        sides = line.strip().split(" = ")
        if len(sides) == 3 and "[" not in sides[1] and re.fullmatch(NUMBER, sides[2]):
            yield sides


def sizes_in(side):
    """The sum of what is added up, in size: what its roundings are relative to."""
    return sum(abs(float(number)) for number in re.findall(NUMBER, side)) + 1


def check_arithmetic(text):
    """How many lines were checked."""
    count = 0
    for name, left, right in arithmetic(text):
        value = eval(left, {"__builtins__": {}}, NAMES)
        assert value == pytest.approx(float(right), rel=DIGITS, abs=DIGITS * sizes_in(left)), name
        count += 1
    return count


def named(text, letter):
    """{indices: value} of the lines that give a number of x or y, by their last side."""
    found = {}
    for line in text.splitlines():
        match = re.search(rf"\b{letter}\[([\d, ]+)\] = (?:.* = )?({NUMBER})$", line)
        if match:
            found[tuple(map(int, match[1].split(", ")))] = float(match[2])
    return found


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("option", OPTIONS)
def test_what_is_printed_is_right_by_its_own_numbers(option, direction, dtype):
    glow = glow_of(option, dtype)
    found = trace(glow, start_of(glow, direction, 2), direction, conditions=False)
    height, width, _ = glow.parameters["output_shape"]
    for stage in found:
        for row, column, example in ((0, 0, 0), (height - 1, width - 2, 1)):
            one = worked(found, stage.name, row, column, example=example, most=5)
            checked = check_arithmetic(str(one))
            least = {"actnorm": 4, "conv": 10, "coupling": 0, "exit": 0, "squeeze": 0, "latents": 0}
            assert checked >= least[stage.kind]
            if stage.kind == "coupling" and option not in ("bijectors",):
                assert checked >= 1
            check_places(one, stage, example, found)


def check_places(one, stage, example, found):
    """The numbers of y are those of the trace's tensor."""
    text = str(one)
    numbers = named(text, "y")
    if stage.kind in ("coupling", "exit") and "y = x, for all" in text:
        return
    assert numbers, text
    for place, value in numbers.items():
        if len(place) == 3:
            true = stage.output[(example, *place)]
        elif stage.name == "latents":
            true = stage.output[example, place[0]]
        else:
            true = stage.output[example, one.row, one.column, place[0]]
        assert value == pytest.approx(float(true), rel=1e-5, abs=1e-12)
    assert one.stage in found.names


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_squeeze_names_its_four_pixels(direction):
    glow = glow_of("default")
    found = trace(glow, start_of(glow, direction), direction, conditions=False)
    one = worked(found, "block1.squeeze", 5, 2)
    stage = found.at("block1.squeeze")
    assert (one.row, one.column) == (2, 1)
    assert "4,2, 4,3, 5,2, 5,3" in str(one)
    assert "Pixel 5,2 of the image (row,column) is pixel 2,1 of 4 x 2" in one.where
    lines = re.findall(r"4 \* (\d) \+ 2 \* (\d) \+ (\d) = (\d+):  y\[(.+)\] = x\[(.+)\] = (.+)",
                       str(one))
    assert len(lines) == 8
    for c, i, j, k, y, x, value in lines:
        assert 4 * int(c) + 2 * int(i) + int(j) == int(k)
        ends = [tensor[(0, *map(int, place.split(", ")))]
                for tensor, place in ((stage.output, y), (stage.input, x))]
        assert ends[0] == ends[1] == pytest.approx(float(value), rel=1e-5)
    assert {tuple(line[3]) for line in lines} == {tuple(str(k)) for k in range(8)}


def test_numbers_of_a_matrix_are_the_models():
    glow = glow_of("default")
    found = trace(glow, images_of(glow), conditions=False)
    text = str(worked(found, "block1.step0.conv", 3, 3))
    state = glow.state_dict()
    matrix = lu_reconstruct(state["block1.step0.conv.lower_upper"],
                            state["block1.step0.conv.permutation"])
    first = next(left for name, left, _ in arithmetic(text) if name == "y[0]")
    pairs = [[float(number) for number in re.findall(NUMBER, term)] for term in first.split(" + ")]
    x = found.at("block1.step0.conv").input[0, 1, 1]
    np.testing.assert_allclose(pairs, np.stack([matrix[0], x], axis=1), rtol=1e-5)
    assert f"p: {state['block1.step0.conv.permutation'].tolist()}" in text


def test_the_parameters_shown_are_the_models():
    glow = glow_of("default")
    found = trace(glow, images_of(glow), conditions=False)
    text = str(worked(found, "block0.step1.actnorm", 7, 3, most=40))
    state = glow.state_dict()
    x = found.at("block0.step1.actnorm").input[0, 1, 0]
    for k in range(16):
        [left] = [left for name, left, _ in arithmetic(text) if name == f"y[{k}]"]
        shown = [float(number) for number in re.findall(NUMBER, left)]
        np.testing.assert_allclose(shown, [x[k], state["block0.step1.actnorm.shift"][k],
                                           state["block0.step1.actnorm.log_scale"][k]], rtol=1e-5)


def test_a_pixels_share_of_a_couplings_log_det():
    glow = glow_of("default")
    found = trace(glow, images_of(glow), conditions=False)
    shares = [float(re.search(rf"this pixel's share is ({NUMBER})", str(
        worked(found, "block1.step0.coupling", 2 * row, 2 * column)))[1])
        for row in range(4) for column in range(2)]
    stage = found.at("block1.step0.coupling")
    assert sum(shares) == pytest.approx(stage.log_det[0], rel=1e-5)


@pytest.mark.usefixtures("by_the_specification")
def test_the_receptive_field_is_that_of_the_network():
    glow = glow_of("default")
    x = images_of(glow, 1)
    found = trace(glow, x, conditions=False)
    stage, layer = (part[found.position("block1.step1.coupling")]
                    for part in (found.stages, found.layers))
    assert "5 x 5 in all" in str(worked(found, stage.name, 0, 0))
    moved = stage.input.copy()
    moved[0, 3, 1, :4] += 0.5  # three rows from pixel 0,0
    assert np.array_equal(layer.bijector.inverse(moved)[0, 0, 0], stage.output[0, 0, 0])
    moved[0, 2, 1, :4] += 0.5
    assert not np.array_equal(layer.bijector.inverse(moved)[0, 0, 0], stage.output[0, 0, 0])


def test_long_sums_keep_their_value():
    pairs = [(k + 0.5, -1.0) for k in range(20)]
    assert eval(products(pairs, 3)) == pytest.approx(-200)
    assert products(pairs, 3).count("*") == 3
    assert eval(sum_of([1.0, -2.0, 3.0, 4.0], 2)) == 6
    assert (products([]), sum_of([])) == ("0", "0")


@pytest.mark.parametrize(("arguments", "message"), [
    ((8, 0), "rows 0 to 7 and columns 0 to 3; got the pixel 8,0"),
    ((0, -1), "got the pixel 0,-1")])
def test_pixels_outside_the_image_are_refused(arguments, message):
    glow = glow_of("default")
    found = trace(glow, images_of(glow), conditions=False)
    with pytest.raises(ValueError, match=message):
        worked(found, "block1.squeeze", *arguments)
    with pytest.raises(ValueError, match="examples 0 to 2; got 3"):
        worked(found, "block1.squeeze", example=3)
