"""Golden vectors: the catalogue, the generator, the kept truth, refglow's distance from it."""

import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from refglow.safetensors_file import open_safetensors
from refglow.validation.certified.certify import certified
from refglow.validation.compare import difference
from refglow.validation.golden import DTYPES
from refglow.validation.vectors import make
from refglow.validation.vectors.catalogue import BY_NAME, VECTORS
from refglow.validation.vectors.certifying import certified_vector
from refglow.validation.vectors.conditions import conditions_of_vector, measured_conditions
from refglow.validation.vectors.counter_random import counter_random, seed_of
from refglow.validation.vectors.drawing import drawn_inputs
from refglow.validation.vectors.draws import factors, permutation, points
from refglow.validation.vectors.flags import FLAGS
from refglow.validation.vectors.judging import judge_of
from refglow.validation.vectors.kept import (
    KeptVectors,
    file_content,
    is_given,
    rounded_again,
)
from refglow.validation.vectors.operations import OPERATIONS
from refglow.validation.vectors.packed_conditions import LARGEST, packed, unpacked
from refglow.validation.vectors.report import row_of, ulps_of
from refglow.validation.vectors.results import evaluated_in
from refglow.validation.vectors.sampling import samples_of

GENERATORS = resources.files("refglow.validation.vectors") / "generators"


# ---- the catalogue ---------------------------------------------------------------------------


def test_there_are_at_least_500_vectors_for_every_operation():
    assert len(VECTORS) == len(BY_NAME) >= 500
    assert {vector.operation for vector in VECTORS} == OPERATIONS.keys()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_every_vector_is_described(vector):
    assert re.fullmatch(r"[a-z0-9-]{1,100}", vector.name)
    assert vector.flags and set(vector.flags) <= FLAGS.keys()
    assert len(set(vector.flags)) == len(vector.flags)
    assert vector.why.endswith((".", "]"))
    assert json.loads(json.dumps(vector.arguments)) == vector.arguments


def test_every_flag_is_used_and_says_bug_effect_and_who():
    assert {flag for vector in VECTORS for flag in vector.flags} == FLAGS.keys()
    assert all(flag.bug and flag.effect and flag.who for flag in FLAGS.values())


def test_hard_cases_are_there():
    names = " ".join(BY_NAME)
    for part in ("sigmoidaffine-tails", "scalematveclu-singular-32", "initialactnorm-constant",
                 "initialactnorm-tiny", "relu-tiny", "exp-tiny", "glow-exits-floor",
                 "glow-32x32x3-3-4", "glow-96x64x3-2-1", "actnorm-5x7x4", "onebyoneconv-1x1x1",
                 "glow-cifar"):
        assert part in names


# ---- the generator ---------------------------------------------------------------------------


def test_the_generator_s_numbers():
    """Computed by hand from the formula, with Python's integers."""
    mask = 2**64 - 1

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return z ^ (z >> 31)
    for seed in (0, 1, 2**32 - 1, 2**64 - 1):
        found = counter_random(seed, 4, start=10)
        assert found.dtype == np.float32
        for k, number in enumerate(found, 10):
            n = mix((mix(seed) + (k + 1) * 0x9E3779B97F4A7C15) & mask) >> 40
            assert float(number) == (2 * n + 1 - 2**24) / 2**24


def test_the_generator_s_numbers_are_spread_evenly():
    found = counter_random(seed_of("a stream"), 10**6)
    counts = np.histogram(found, 64, (-1, 1))[0]
    assert abs(counts - 10**6 / 64).max() < 6 * np.sqrt(10**6 / 64) and found.all()
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 5e-3
    assert not np.array_equal(found[:100], counter_random(seed_of("another stream"), 100))
    np.testing.assert_array_equal(found[100:200], counter_random(seed_of("a stream"), 100, 100))


def test_the_generator_in_c(tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    with resources.as_file(GENERATORS / "counter_random.c") as source:
        subprocess.run([compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-o",
                        tmp_path / "g", source], check=True)
    for seed, start in ((7, 0), (2**32 - 1, 12345)):
        lines = subprocess.run([tmp_path / "g", str(seed), str(start), "50"], text=True,
                               capture_output=True, check=True).stdout.split()
        assert [float.fromhex(line) for line in lines] == [
            float(number) for number in counter_random(seed, 50, start)]
    assert subprocess.run([tmp_path / "g"], capture_output=True, check=False).returncode == 2


def test_the_generator_in_julia():
    julia = shutil.which("julia")
    if julia is None:
        pytest.skip("Julia is not installed")
    with resources.as_file(GENERATORS / "counter_random.jl") as source:
        lines = subprocess.run([julia, source, "7", "3", "50"], text=True, capture_output=True,
                               check=True).stdout.split()
    assert [np.float32(line) for line in lines] == list(counter_random(7, 50, 3))


# ---- drawing ---------------------------------------------------------------------------------


def test_permutations_are_not_their_own_inverses():
    for size in range(3, 40):
        order = permutation(f"test {size}", (size,))
        assert sorted(order) == list(range(size)) and not np.array_equal(np.argsort(order), order)


def test_factors_have_a_negative_number_on_the_diagonal():
    for size in range(1, 20):
        diagonal = np.diagonal(factors(f"test {size}", (size, size)))
        assert diagonal[-1] < 0 and (abs(diagonal) >= 0.75).all() and (abs(diagonal) <= 1.25).all()


def test_points_that_float32_has_not_are_refused():
    with pytest.raises(ValueError, match="not all float32"):
        points([0.1])


@pytest.mark.parametrize("vector", [v for v in VECTORS if not v.name.startswith("glow-")],
                         ids=lambda vector: vector.name)
def test_what_is_drawn_is_what_is_kept(vector, kept):
    """To the last bit but for the inverse's input, which NumPy's functions have computed."""
    drawn, before = drawn_inputs(vector), kept.inputs(vector)
    assert drawn.keys() == before.keys()
    for name, array in drawn.items():
        if name == "inverse/input" and vector.directions[0] == "forward":
            np.testing.assert_allclose(array, before[name], rtol=1e-4, atol=1e-4)
        else:
            np.testing.assert_array_equal(array, before[name])


# ---- the kept truth --------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [v for v in VECTORS if v.name != "glow-cifar"],
                         ids=lambda vector: vector.name)
def test_every_result_is_kept_for_both_types(vector, kept):
    found = kept.results(vector)
    expected = evaluated_in(vector, kept.inputs(vector), np.float64).results
    assert found.values.keys() == expected.keys() and found.bits >= vector.first_bits
    for name, by_type in found.values.items():
        assert by_type.keys() == set(DTYPES)
        for dtype, array in by_type.items():
            assert array.dtype == dtype and array.shape == expected[name].shape
            assert np.isfinite(array).all(), name


SAMPLE = [vector for vector in VECTORS if vector.size <= 64
          and vector.operation not in ("Glow", "GlowDensity")]
TODAY = np.random.default_rng(0).choice(len(SAMPLE), 40, replace=False)


@pytest.mark.parametrize("vector", [SAMPLE[index] for index in TODAY], ids=lambda v: v.name)
def test_a_random_sample_is_certified_again(vector, kept):
    row = row_of(vector, kept, certified_vector(vector, kept.inputs(vector)))
    assert row["as_kept"] and row["numbers"]


def test_a_glow_is_certified_again(kept):
    vector = BY_NAME["glow-4x4x1-2-1"]
    assert row_of(vector, kept, certified_vector(vector, kept.inputs(vector)))["as_kept"]


def test_the_default_glow_is_kept(kept):
    """30 million weights, made by the generator; certified by the command, not here."""
    vector = BY_NAME["glow-cifar"]
    glow = vector.build(np.float32)
    assert sum(variable.size for variable in glow.trainable_variables) > 30e6
    found = kept.results(vector)
    assert found.bits >= 512 and found.values["forward/value"]["float64"].shape == (1, 32, 32, 3)
    samples = samples_of(vector, found.values)
    for direction, shape in (("forward", (1, 3072)), ("inverse", (1, 32, 32, 3))):
        assert found.values[f"{direction}/vjp/input_bar"]["float64"].shape == shape
        for variable in glow.trainable_variables:
            name = f"{direction}/vjp/params/{variable.name}"
            bar = found.values[name]["float64"]
            size = samples[name].places.size if name in samples else variable.size
            assert 8 <= bar.size == size <= 16 and np.isfinite(bar).all()


def test_the_default_glow_s_gradients_are_the_true_ones(kept):
    """Of 30 million weights and the image, in float32, in the direction that trains."""
    vector = BY_NAME["glow-cifar"]
    judge, truth = judge_of(vector, kept), kept.results(vector).values
    found = evaluated_in(replace(vector, derivatives=("vjp",), directions=("inverse",)),
                         kept.inputs(vector), np.float32).results
    rows = [judge(name, array, truth[name]["float64"]) for name, array in found.items()]
    assert len(rows) > 860 and all(row.passed for row in rows)
    gradients = [row for row in rows if "/vjp/" in row.prop]
    assert max(row.severity for row in gradients) < 0.01


def test_a_wrong_digit_is_noticed(kept):
    vector = BY_NAME["tanh-ordinary"]
    found = certified_vector(vector, kept.inputs(vector))
    values = found.values["forward/vjp/input_bar"]["float32"]
    values[0, 0] = np.nextafter(values[0, 0], np.float32(np.inf))
    assert not row_of(vector, kept, found)["as_kept"]


def test_a_float32_that_is_not_the_float64_rounded_again_is_kept(tmp_path):
    """Where rounding twice is not rounding once."""
    vector = BY_NAME["exp-ordinary"]
    found = certified(lambda: {"forward/value": np.array([], object)})
    middle = np.array([1 + 2.0**-24])  # halfway between two float32 numbers; the truth is above it
    found.values["forward/value"] = {"float64": middle,
                                     "float32": np.nextafter(np.float32([1]), np.float32(2))}
    assert rounded_again(middle)[0] == 1
    path = tmp_path / "v.safetensors"
    path.write_bytes(file_content([(vector, {"forward/input": np.float32([0])}, found)]))
    with open_safetensors(path) as file:
        again = KeptVectors(file, file).results(vector).values["forward/value"]
    assert again["float32"][0] > 1 and again["float64"][0] == middle[0]


def test_names_of_what_is_kept():
    assert is_given("params/a.kernel") and is_given("inverse/input") and is_given("forward/input/1")
    assert not is_given("forward/vjp/params/a.kernel") and not is_given("forward/input_dot")


# ---- numbers that stand for large results ----------------------------------------------------


@pytest.mark.parametrize("name", ["glow-8x4x3-2-1", "glow-random-03", "glow-96x64x3-2-1"])
def test_a_sample_is_of_the_places_that_it_says(name, kept):
    """Against the whole results: nothing is sampled, and the numbers picked here."""
    vector = BY_NAME[name]
    truth = kept.results(vector).values
    sampled = evaluated_in(vector, kept.inputs(vector), np.float64).results
    whole = evaluated_in(replace(vector, generated=False, sampled=False), kept.inputs(vector),
                         np.float64).results
    samples = samples_of(vector, truth)
    assert whole.keys() == truth.keys() and len(samples) > 10
    for result, by_type in truth.items():
        array, expected = whole[result], by_type["float64"]
        assert (result in samples) == (array.shape != expected.shape)
        assert array.shape == kept.shapes(vector)[result]
        if result in samples:
            places = samples[result].places
            assert places[0] == 0 and places[-1] == array.size - 1 and (np.diff(places) > 0).all()
            array = np.array([array.flat[place] for place in places])
        assert difference(array, expected).relative < 1e-11, result
        assert difference(sampled[result], expected).relative < 1e-11, result


def test_small_gradients_are_kept_whole_and_large_ones_in_part(kept):
    vector = BY_NAME["glow-8x16x3-3-1"]
    shapes, values = kept.shapes(vector), kept.results(vector).values
    gradients = [name for name in values if "/vjp/params/" in name]
    assert {name.partition("/vjp/params/")[2] for name in gradients} == {
        variable.name for variable in vector.build(np.float32).trainable_variables}
    for name in gradients:
        assert values[name]["float64"].size == min(np.prod(shapes[name]), 16) or (
            8 <= values[name]["float64"].size <= 16 < np.prod(shapes[name]))


@pytest.mark.parametrize(("backend", "dtype"), [("spec", "float64"), ("cpu", "float32")])
def test_a_large_image(backend, dtype, kept):
    vector = BY_NAME["glow-96x64x3-2-1"]
    truth, judge = kept.results(vector).values, judge_of(vector, kept)
    found = evaluated_in(vector, kept.inputs(vector), dtype, backend).results
    rows = [judge(name, array, truth[name]["float64"]) for name, array in found.items()]
    assert len(rows) == 54 and all(row is not None and row.passed for row in rows)


# ---- conditions ------------------------------------------------------------------------------


CHEAP = [vector for vector in VECTORS if vector.size <= 400]
FOR_CONDITIONS = [CHEAP[k] for k in np.random.default_rng(1).choice(len(CHEAP), 25, replace=False)]


@pytest.mark.parametrize("vector", FOR_CONDITIONS, ids=lambda vector: vector.name)
def test_kept_conditions_are_those_that_are_measured(vector, kept):
    """To three digits, or what the rounding of the measurement itself leaves of them."""
    inputs, found = kept.inputs(vector), kept.conditions(vector)
    expected = measured_conditions(vector, inputs)
    assert found.keys() == expected.keys() == kept.results(vector).values.keys()
    for name, kappa in expected.items():
        capped = np.minimum(kappa, LARGEST)
        np.testing.assert_allclose(np.broadcast_to(found[name], kappa.shape), capped, rtol=0.02)


def test_every_vector_has_conditions(kept):
    for vector in VECTORS:
        shapes = {name: by_type["float64"].shape
                  for name, by_type in kept.results(vector).values.items()}
        for name, kappa in kept.conditions(vector).items():
            assert kappa.shape in ((), shapes[name]) and (kappa >= 1).all(), name
            assert np.ndim(kappa) == 0 or OPERATIONS[vector.operation].by_element


def test_packed_conditions():
    shapes = {"a": (2, 2), "b": (3,), "c": ()}
    each = {"a": np.array([[1, 2], [3, 1e300]]), "b": np.array([1.23456, 1, 7]), "c": np.array(5.0)}
    again = unpacked(packed(each), shapes)
    np.testing.assert_allclose(again["a"], [[1, 2], [3, LARGEST]])
    np.testing.assert_allclose(again["b"], [1.23, 1, 7])
    assert again["c"] == 5 and packed(each).shape == (8,)
    alike = {"a": np.full((2, 2), 3.14159), "b": np.full(3, 2.0), "c": np.array(5.0)}
    assert packed(alike).shape == (3,)
    assert {name: float(kappa) for name, kappa in unpacked(packed(alike), shapes).items()} == {
        "a": pytest.approx(3.14), "b": 2, "c": 5}


# ---- making the files ------------------------------------------------------------------------


def made(monkeypatch, folder, vectors):
    """The files of these vectors, and the names of those that were certified for them."""
    certified_now = []

    def newly_drawn(wanted):
        for vector in wanted:
            certified_now.append(vector.name)
            inputs = drawn_inputs(vector)
            yield vector, inputs, certified_vector(vector, inputs)
    monkeypatch.setattr(make, "VECTORS", vectors)
    monkeypatch.setattr(make, "newly_drawn", newly_drawn)
    monkeypatch.setattr("sys.argv", ["make", str(folder)])
    make.main()
    return certified_now


def test_what_is_kept_is_taken_over_and_what_is_new_is_certified(kept, tmp_path, monkeypatch):
    old = [BY_NAME[name] for name in ("tanh-ordinary", "split-sizes", "glow-8x4x3-2-1")]
    new = replace(BY_NAME["exp-ordinary"], name="exp-new")
    other = replace(BY_NAME["log-ordinary"], derivatives=("jvp",))  # fewer results than are kept
    assert made(monkeypatch, tmp_path, [*old, new, other]) == ["exp-new", "log-ordinary"]
    with (open_safetensors(tmp_path / "vectors.safetensors") as file,
          open_safetensors(tmp_path / "conditions.safetensors") as conditions):
        again = KeptVectors(file, conditions)
        for vector in old:
            assert again.results(vector).bits == kept.results(vector).bits
            for mine, theirs in ((again.inputs, kept.inputs), (again.conditions, kept.conditions)):
                assert mine(vector).keys() == theirs(vector).keys()
                assert all(np.array_equal(array, theirs(vector)[name])
                           for name, array in mine(vector).items())
            assert all(np.array_equal(array, kept.results(vector).values[name][dtype])
                       for name, by_type in again.results(vector).values.items()
                       for dtype, array in by_type.items())
        assert not any("vjp" in name for name in again.results(other).values)
        assert again.conditions(new).keys() == again.results(new).values.keys()
        for name, kappa in measured_conditions(new, again.inputs(new)).items():
            np.testing.assert_allclose(again.conditions(new)[name], kappa, rtol=0.01)


# ---- refglow's distance from it --------------------------------------------------------------


GROUPS = 12  # so that they are spread over processes


@pytest.mark.parametrize("group", range(GROUPS))
def test_refglow_is_within_its_tolerance_of_the_truth(group, kept):
    """Values within 4 eps sqrt(layers) kappa, derivatives within 16 times that; sums: `of_a_sum`.

    By the specification and by the CPU kernels; number by number where the judge does so.
    """
    wrong = []
    for vector in VECTORS[group::GROUPS]:
        if vector.size > 400:
            continue
        inputs, truth = kept.inputs(vector), kept.results(vector).values
        judge = judge_of(vector, kept)
        for dtype, backend in itertools.product(DTYPES, ("spec", "cpu")):
            rows = [judge(name, array, truth[name]["float64"]) for name, array in evaluated_in(
                vector, inputs, dtype, backend).results.items()]
            wrong += [(row, backend) for row in rows if row is not None and not row.passed]
    assert not wrong


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["spec", "cpu"])
def test_derivatives_of_a_growing_inverse_do_not_cancel(backend, dtype, kept):
    """W^-1 has numbers up to 2^22; the gradient's condition is 1.3, and so are the digits lost.

    In float64 x = W^-1 y is exact, and products could only cancel. In float32 it is rounded: who
    starts from it has the gradient to two digits.
    """
    vector = BY_NAME["scalematveclu-growing-24"]
    inputs, truth = kept.inputs(vector), kept.results(vector).values
    ulps = ulps_of(evaluated_in(vector, inputs, dtype, backend).results, truth, dtype)
    limit = 16 if dtype == "float64" else 1
    assert ulps["inverse/vjp/params/lower_upper"] < limit
    assert ulps["inverse/jvp_of_params/value"] < limit


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("backend", ["spec", "cpu"])
def test_derivatives_of_a_nearly_singular_inverse_keep_their_digits(backend, dtype, kept):
    """The condition, 2^32, counts once: from the x that was rounded it would count twice."""
    vector = BY_NAME["scalematveclu-singular-32"]
    inputs, truth = kept.inputs(vector), kept.results(vector).values
    found = evaluated_in(vector, inputs, dtype, backend).results
    for name in ("inverse/vjp/params/lower_upper", "inverse/jvp_of_params/value"):
        error = difference(found[name], truth[name]["float64"], dtype).relative
        # Substitutions are in float64: in float32 nothing but the result is rounded.
        assert error < np.finfo(dtype).eps * (2.0**32 if dtype == "float64" else 1), name


@pytest.mark.parametrize("name", ["exp-tiny", "exp-tails", "actnorm-subnormal", "identity-tiny"])
def test_log_dets_of_tiny_and_far_numbers_do_not_cancel(name, kept):
    """Else no implementation could be judged by them."""
    kappas = conditions_of_vector(BY_NAME[name], kept.inputs(BY_NAME[name]))
    assert all(kappa < 1e3 for result, kappa in kappas.items() if result.endswith("log_det"))


def test_ulps_of_a_row_are_those_of_its_worst_result(kept):
    vector = BY_NAME["tanh-ordinary"]
    inputs, truth = kept.inputs(vector), kept.results(vector).values
    row = row_of(vector, kept, kept.results(vector))
    for backend in ("spec", "cpu"):
        for dtype in DTYPES:
            found = evaluated_in(vector, inputs, dtype, backend).results
            ulps = ulps_of(found, truth, dtype)
            assert row["ulps"][f"{backend}/{dtype}"] == max(ulps.values()) < 16
            nearest = row["nearest_its_bound"][f"{backend}/{dtype}"]
            judge = judge_of(vector, kept)
            rows = [judge(name, array, truth[name]["float64"]) for name, array in found.items()]
            worst = max(rows, key=lambda one: one.severity)
            assert nearest == {"result": worst.prop, "relative": worst.relative,
                               "bound": worst.tolerance, "reason": worst.reason,
                               "share": worst.relative / worst.tolerance}
            assert 0 < nearest["share"] < 1
    assert row["as_kept"]
