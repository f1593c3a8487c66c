"""Reports: errors by size, by place and by layer, what is said first, and the JSON's schema."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from reports import DTYPES, PADDING, REPORTS, RIGHT, SHAPE, found, golden, model, report, vectors

from refglow.validation.diagnosis.of_conformance import diagnosis_of
from refglow.validation.implementations import conformance
from refglow.validation.implementations.digits import allowed_digits, digits
from refglow.validation.implementations.model import architecture_of, parameters_of
from refglow.validation.mutants import PortedGlow
from refglow.validation.random_models import random_images
from refglow.validation.report import report_of, report_schema, write_json
from refglow.validation.report.error_map import MOST_PIXELS, map_of
from refglow.validation.report.figures import of_tolerance
from refglow.validation.report.histogram import histogram_of
from refglow.validation.report.layers import Contribution
from refglow.validation.report.map_drawing import classes_of
from refglow.validation.report.strips import log_det_strip

VALIDATOR = Draft202012Validator(report_schema())


def written(tmp_path, one):
    """A report's JSON as it is read by anybody, who knows no NaN."""
    write_json(tmp_path / "report.json", one)
    return json.loads((tmp_path / "report.json").read_text(),
                      parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


# ---- errors by size --------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e300, allow_nan=False) | st.sampled_from(
    [0.0, 2.0**-53, 2.0**-52, 3 * 2.0**-53, 2.0**-51, math.inf, math.nan]), min_size=1))
def test_each_number_is_in_the_bin_of_its_error(errors):
    drawn = histogram_of(np.array(errors), 1.0, 1e-15, np.float64)
    ulp = 2.0**-52  # from 1 to the next float64
    assert drawn.ulp == ulp and drawn.tolerance == pytest.approx(1e-15 / ulp)
    edges = [one.upto for one in drawn.bins]
    assert edges[0] == 0 and edges == sorted(set(edges)) and len(edges) <= 22
    assert all(math.frexp(edge)[0] == 0.5 for edge in edges[1:])
    for below, one in zip([-1.0, *edges], drawn.bins, strict=False):
        assert one.count == sum(below < error / ulp <= one.upto for error in errors)
    assert drawn.not_finite == sum(not error / ulp <= 2.0**1023 for error in errors)
    assert drawn.size == len(errors)


def test_small_errors_have_a_bin_for_each_power_of_two():
    errors = np.array([0, 0.5, 0.6, 1, 3, 100]) * 2.0**-23
    drawn = histogram_of(errors, 1.0, 1.0, np.float32)
    assert [(one.upto, one.count) for one in drawn.bins] == [
        (0, 1), (0.5, 1), (1, 2), (2, 0), (4, 1), (8, 0), (16, 0), (32, 0), (64, 0), (128, 1)]


@pytest.mark.parametrize("name", [RIGHT, PADDING])
def test_the_last_bin_holds_what_the_row_is_judged_by(name):
    for one in report(name).types:
        for array in one.arrays:
            last = array.histogram.bins[-1]
            assert last.count and array.figures.ulps <= last.upto < 16 * max(1, array.figures.ulps)
        [row] = [row for row in one.found.rows if row.bijector == row.prop == "inverse"]
        [latents] = [array for array in one.arrays if array.name == "inverse"]
        assert (latents.figures.error, latents.figures.ulps, latents.figures.tolerance) == (
            row.relative, row.ulps, row.tolerance)
        assert latents.histogram.size == 3 * math.prod(SHAPE)


# ---- errors by place -------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [
    (3, 5, 3, 5), (64, 64, 64, 64), (65, 128, 33, 64), (130, 1, 44, 1), (1000, 700, 63, 64)])
def test_a_map_holds_the_largest_error_of_each_tile(height, width, rows, columns):
    shares = np.random.default_rng(0).random((2, height, width, 3)) * 3
    drawn = map_of("some", shares)
    assert (len(drawn.shares), len(drawn.shares[0])) == (rows, columns)
    assert (drawn.height, drawn.width) == (height, width)
    assert rows <= MOST_PIXELS and columns <= MOST_PIXELS
    tall, wide = -(-height // rows), -(-width // columns)
    for y in range(0, rows, 5):
        for x in range(columns):
            tile = shares[:, y * tall:(y + 1) * tall, x * wide:(x + 1) * wide]
            assert drawn.shares[y][x] == pytest.approx(tile.max(), rel=1e-3)
    share, row, column = drawn.largest
    assert share == drawn.shares[row][column] == pytest.approx(shares.max(), rel=1e-3)
    assert drawn.beyond == np.mean([value > 1 for line in drawn.shares for value in line])


def test_what_is_not_finite_is_infinite_in_a_map():
    shares = np.zeros((1, 2, 2, 1))
    shares[0, 0, 1], shares[0, 1, 0] = np.nan, np.inf
    assert map_of("some", shares).shares == ((0.0, math.inf), (math.inf, 0.0))


class OneNumberOff(PortedGlow):
    """One number of the latents of image 1 differs."""

    where = 0

    def inverse(self, x):
        z = super().inverse(x).copy()
        z[1, self.where] += 1.0
        return z


@pytest.mark.parametrize("scale", [0, 1])
def test_a_wrong_latent_is_shown_at_its_scale_and_pixel(scale):
    glow = model("float64")
    parts = glow.split_latents(np.zeros((1, math.prod(SHAPE))))
    parts[scale][0, 1, 2, 3] = 1.0
    OneNumberOff.where = int(np.argmax(glow.merge_latents(parts)[0]))
    one = conformance(glow, OneNumberOff(architecture_of(glow), parameters_of(glow)),
                      random_images(np.random.default_rng(6), 3, SHAPE))
    [latents] = [array for array in report_of([one]).types[0].arrays if array.name == "inverse"]
    assert len(latents.maps) == len(parts) == 2
    wrong = {(k, y, x) for k, drawn in enumerate(latents.maps)
             for y, line in enumerate(drawn.shares) for x, share in enumerate(line) if share > 1}
    assert wrong == {(scale, 1, 2)}
    [row] = [row for row in one.rows if row.bijector == row.prop == "inverse"]
    assert latents.maps[scale].largest[0] == pytest.approx(row.severity, rel=1e-3)


def test_a_wrong_padding_shows_at_the_border_of_the_first_layer_that_differs():
    for one in report(PADDING).types:
        layer = one.arrays[0]
        assert layer.name == f"layers/{one.found.first_wrong_layer}/output"
        assert layer.name == "layers/block1.step1.coupling/output"
        [drawn] = layer.maps
        shares = np.array(drawn.shares)
        border = np.ones(shares.shape, bool)
        border[2:-2, 2:-2] = False  # two convolutions of 3 x 3 reach that far
        border[1:-1, 1:-1] &= shares[1:-1, 1:-1] > 1
        assert shares.shape == (4, 6) and (shares[border] > 1).all()
        [alone] = [row for each in one.found.layers if each.name == one.found.first_wrong_layer
                   for row in each.alone if row.prop.endswith("/output")]
        assert layer.figures.error == alone.relative
        assert drawn.largest[0] == pytest.approx(alone.severity, rel=1e-3)


@pytest.mark.parametrize("shares", [
    [[0.0, 0.2], [0.9, 0.01]], [[0.0, 2e9], [1e9, 0.5]], [[0.0, 0.0]], [[math.inf, 5.0, 0.1]],
    [[1.5, 1.2]], [[math.inf]]])
def test_each_place_of_a_map_is_drawn_once(shares):
    drawn = map_of("some", np.array(shares)[None, :, :, None])
    classes = classes_of(drawn)
    places = []
    for one in classes:
        rectangles = re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", one.path)
        places += [(int(y), int(x) + k) for x, y, wide, _ in rectangles for k in range(int(wide))]
        assert one.path == "".join(f"M{x} {y}h{wide}v1h-{back}z" for x, y, wide, back in rectangles)
        assert all(wide == back for _, _, wide, back in rectangles)
        for x, y, wide, _ in rectangles:
            for k in range(int(wide)):
                share = shares[int(y)][int(x) + k]
                assert share <= one.upto and one.name.startswith("beyond") == (
                    1 < share < math.inf)
    assert sorted(places) == [(y, x) for y in range(len(shares)) for x in range(len(shares[0]))]
    assert sum(one.count for one in classes) == len(places)
    assert len({one.name for one in classes}) == len(classes)


# ---- layers ----------------------------------------------------------------------------------


def test_layers_errors_and_what_they_add_to_the_log_det():
    for one in report(PADDING).types:
        reference = one.found.reference
        raw = one.found.raw["layers"].arrays
        assert [layer.name for layer in one.layers] == [each.name for each in reference.layers]
        total = np.sum([layer.contribution.true for layer in one.layers], axis=0)
        np.testing.assert_allclose(total, reference.truth["inverse_log_det_jacobian"], rtol=1e-12)
        verdicts = {layer.name: layer.verdict for layer in one.layers}
        assert verdicts["block1.step1.conv"] == "right"
        assert verdicts["block1.step1.coupling"] == "wrong"
        assert verdicts["block1.step0.conv"] == "right alone"
        for layer in one.layers:
            yours = raw.get(f"layers/{layer.name}/log_det")
            assert layer.contribution.yours == (None if yours is None else tuple(yours.tolist()))
            for kind, figures in (("output", layer.alone.output), ("log_det", layer.alone.log_det)):
                rows = [row for row in one.found.rows if row.bijector == "layers, each alone"
                        and row.prop == f"{layer.name}/{kind}"]
                assert [figures.error] == [row.relative for row in rows] if rows else (
                    figures is None)


def test_a_layer_that_is_not_finite_is_not_comparable():
    class Lost(PortedGlow):
        def layers(self, x):
            for name, output, *log_det in super().layers(x):
                if name == "block1.step0.actnorm":
                    output = np.where(np.arange(output.shape[2])[:, None] == 2, np.nan, output)
                yield name, output, *log_det
    glow = model("float32")
    one = conformance(glow, Lost(architecture_of(glow), parameters_of(glow)),
                      random_images(np.random.default_rng(6), 3, SHAPE))
    made = report_of([one]).types[0]
    verdicts = {layer.name: layer.verdict for layer in made.layers}
    assert verdicts["block1.step0.actnorm"] == "not comparable"
    layer = made.arrays[0]
    assert layer.name == "layers/block1.step0.actnorm/output" and layer.figures is None
    assert layer.histogram.not_finite == 3 * 4 * 8
    assert [math.isinf(share) for share in layer.maps[0].shares[0]] == [
        False, False, True, False, False, False]


# ---- digits, and what is said first ----------------------------------------------------------


def test_digits():
    assert digits(1e-3, "float64") == pytest.approx(3) and digits(5.0, "float64") == 0
    assert digits(0.0, "float64") == digits(1e-30, "float64") == pytest.approx(15.95, abs=0.01)
    assert digits(0.0, "float32") == pytest.approx(7.22, abs=0.01)
    assert digits(math.nan, "float32") == digits(math.inf, "float32") == 0
    assert allowed_digits(1000, "float64") == pytest.approx(15.95 - 3, abs=0.01)
    assert allowed_digits(0.1, "float32") == digits(0.0, "float32")
    assert of_tolerance(0.25) == "0.25 of its tolerance"
    assert of_tolerance(3e5) == "3e+05 times its tolerance"


def test_what_is_said_of_a_right_one():
    summary = report(RIGHT).summary
    arrays = sum(len(one.rows) for one in found(RIGHT))
    assert summary.verdict == f"Everything that was compared agrees: {arrays} arrays, in float64 " \
        "and float32."
    assert summary.explanation == ("There is nothing to explain.",)
    assert summary.first_difference[0] == "float64: none of 15 layers."
    fewest = -math.log10(max(row.relative for row in found(RIGHT)[0].rows
                             if row.bijector != "own"))
    assert f"float64: {fewest:.1f} digits or more" in summary.digits[0]
    kappa = found(RIGHT)[1].reference.conditions["forward"]
    assert f"{7.22 - math.log10(kappa):.1f} on the way to the images" in summary.weights[1]


def test_what_is_said_of_a_wrong_one():
    one = report(PADDING)
    wrong = sum(not row.passed for each in found(PADDING) for row in each.rows)
    assert one.summary.verdict.startswith(f"{wrong} of ") and not one.passed
    assert 'yours is "edge"' in one.summary.explanation[0]
    assert "block1.step1.coupling, number 4 of 15 from the image" in one.summary.first_difference[0]
    assert one.diagnosis["dtype"] == "float64"
    assert one.diagnosis["answers"] == {"padding": "edge"}
    assert report_of(found(PADDING)).summary.explanation == ("It was not looked for.",)


def test_what_is_said_where_nothing_differs_but_calls_fail():
    one = report("failing")
    assert one.outcome == "Fails"
    assert re.match(r"\d+ calls or results could not be compared, in float64 and float32; the \d+ "
                    "arrays that were compared agree", one.summary.verdict)
    assert "No convention" in one.summary.explanation[0]


@pytest.mark.parametrize(("factor", "says"), [
    (2.0, "What differs is at most 2 times its tolerance: too little to tell"),
    (9.0, "What differs, by up to 9 times its tolerance, is not among what can be looked at")])
def test_a_difference_that_the_diagnosis_does_not_see_is_not_denied(factor, says):
    right = found(RIGHT)[0]
    first, *rest = right.rows
    off = replace(right, rows=(replace(first, relative=factor * first.tolerance), *rest))
    [said] = report_of([off], diagnosis_of(off)).summary.explanation
    assert said.startswith(says) and "Nothing differs" not in said


@pytest.mark.parametrize("size", [1.0, 300.0, 1e12, 1e290])
def test_labels_of_log_dets_have_room(size):
    layers = [replace(layer, contribution=Contribution((sign * size,), (size,)))
              for layer, sign in zip(report(RIGHT).types[0].layers, (1, -1), strict=False)]
    strip = log_det_strip(layers)
    places = sorted(percent for _, percent in strip.ticks)
    assert 2 <= len(places) <= 9 and min(np.diff(places)) > 3 and 0.0 in dict(strip.ticks)


def test_no_digits_are_no_digits_below_zero():
    assert math.copysign(1.0, digits(1.0, "float64")) == 1.0


def test_a_type_cannot_be_there_twice():
    with pytest.raises(ValueError, match="one in each; got float64, float64"):
        report_of([found(RIGHT)[0]] * 2)
    with pytest.raises(ValueError, match="got none"):
        report_of([])


# ---- JSON ------------------------------------------------------------------------------------


def test_the_schema_is_one():
    Draft202012Validator.check_schema(report_schema())


@pytest.mark.parametrize("name", REPORTS)
def test_json_is_as_the_schema_says(name, tmp_path):
    content = written(tmp_path, REPORTS[name]())
    assert [error.message for error in VALIDATOR.iter_errors(content)] == []


def places(value):
    """Every dict in the JSON whose keys are fixed, each place of the schema once."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from places(item)
    elif isinstance(value, list):
        for item in value[:2]:
            yield from places(item)


MAY_LACK = {"inverse", "forward", "log_prob"}  # as number types may


def test_json_with_another_key_or_without_one_is_not(tmp_path):
    content = written(tmp_path, report(PADDING))
    for one in content["conformance"].values():  # a few of each will do, and are quicker
        one["rows"], one["layers"], one["arrays"] = (
            one[key][:1] for key in ("rows", "layers", "arrays"))
    assert VALIDATOR.is_valid(content)
    free = [content["diagnosis"]["answers"], *(
        each for finding in content["diagnosis"]["findings"]
        for each in (finding["explanation"], *finding["others"]))]
    for place in places(content):
        if any(place is each for each in free):
            continue
        place["unknown"] = 1
        assert not VALIDATOR.is_valid(content), place
        del place["unknown"]
        for key in set(place) - set(DTYPES) - MAY_LACK:
            value = place.pop(key)
            assert not VALIDATOR.is_valid(content), key
            place[key] = value
    assert VALIDATOR.is_valid(content)


@pytest.mark.parametrize(("kind", "key", "value"), [
    ("golden files", "sections", {"x": [{}]}), ("results", "vectors", {"x": {}}),
    ("live", "seed", None), ("something", "passed", True)])
def test_json_of_each_kind_is_strict(kind, key, value, tmp_path):
    made = {"golden files": golden, "results": vectors}.get(kind, REPORTS["live"])()
    content = written(tmp_path, made)
    assert VALIDATOR.is_valid(content)
    assert not VALIDATOR.is_valid(content | {"kind": kind, key: value})


def test_what_is_not_finite_is_a_string(tmp_path):
    one = golden()
    row = replace(one.sections["Every bijector"][0], relative=math.nan, ulps=math.inf)
    content = written(tmp_path, replace(one, sections={"Every bijector": (row,)}))
    [plain] = content["sections"]["Every bijector"]
    assert (plain["relative"], plain["ulps"], plain["passed"]) == ("nan", "inf", False)
    assert VALIDATOR.is_valid(content)
