"""assert_conforms and golden vectors in other projects' tests: what passes, what fails, and how."""

import functools
import re
import traceback
from types import SimpleNamespace

import numpy as np
import pytest

from refglow.bijectors import Glow
from refglow.training.model import affine_network
from refglow.validation import pytest_plugin, testing
from refglow.validation.implementations.model import (
    architecture_of,
    default_glow,
    parameters_of,
)
from refglow.validation.implementations.offerings import OFFERINGS
from refglow.validation.mutants import MUTANTS, PortedGlow
from refglow.validation.random_models import random_images, randomize_weights
from refglow.validation.testing import LEVELS, GoldenVector, assert_conforms, golden_vectors
from refglow.validation.testing.vectors import names_of
from refglow.validation.vectors.catalogue import VECTORS

SHAPE = (4, 8, 2)


@functools.cache
def small_glow(**arguments):
    rng = np.random.default_rng(3)
    glow = Glow(SHAPE, 2, 2, affine_network(6), seed=rng, dtype=np.float64, **arguments)
    randomize_weights(glow, rng, 0.4)
    return glow


small = functools.partial(assert_conforms, glow=small_glow(), dtype=np.float64)


def offering(*names, of=PortedGlow, **others):
    """A builder of what offers only these functions of a port, and others."""
    def build(architecture, parameters):
        port = of(architecture, parameters)
        return SimpleNamespace(**{name: getattr(port, name) for name in names} | others)
    return build


def message(*arguments, **keywords):
    with pytest.raises(AssertionError) as failed:
        small(*arguments, **keywords)
    return str(failed.value)


# ---- right implementations -----------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_a_right_glow_conforms_at_every_level(level):
    [found] = small(PortedGlow, level)
    called = {row.bijector for row in found.rows}
    assert found.passed and called >= set(LEVELS[level])
    if level not in ("offered", "all"):
        assert called - {"own", "layers, each alone"} <= {*LEVELS[level], *(
            name for name in OFFERINGS if "_and_" in name)}


def test_what_is_there_without_arguments():
    double, single = small(PortedGlow, dtype=None)
    assert (double.dtype, single.dtype) == ("float64", "float32")
    assert double.offered[-1] == "log_prob" and single.reference.x.dtype == np.float32
    [found] = assert_conforms(offering("inverse"), "offered", dtype=np.float32, seed=1)
    assert found.reference.x.shape == (4, 16, 16, 3)
    name = "block2.step7.coupling.conv1.kernel"
    assert np.array_equal(found.reference.glow.state_dict()[name],
                          default_glow(1).astype(np.float32).state_dict()[name])


def test_an_object_with_the_weights_of_a_model():
    glow = small_glow(use_actnorm=False)
    port = PortedGlow(architecture_of(glow), parameters_of(glow))
    images = random_images(np.random.default_rng(1), 2, SHAPE)
    [found] = assert_conforms(port, "all", glow=glow, images=images, dtype="float64")
    assert found.passed and np.array_equal(found.reference.x, images)
    with pytest.raises(TypeError, match="give the model that has the same"):
        assert_conforms(port)


def test_a_result_may_come_from_a_function_that_gives_two():
    build = offering("inverse_and_log_det", "forward_and_log_det")
    assert small(build, "log_dets")[0].offered == ("inverse_and_log_det", "forward_and_log_det")
    assert "log_prob is not offered" in message(build, "density")


# ---- what is held against them -------------------------------------------------------------------


def test_what_lies_above_the_level_is_not_called():
    def never(x):
        raise SystemExit("called")
    build = offering("inverse", "forward", log_prob=never, gradients=never)
    assert small(build, "values")[0].passed
    assert message(build, "offered").startswith(
        'At level "offered": log_prob, gradients cannot be compared.')


def test_a_log_det_above_the_level_is_not_looked_at():
    def wrong(x):
        port = PortedGlow(architecture_of(small_glow()), parameters_of(small_glow()))
        z, log_det = port.inverse_and_log_det(x)
        return z, -log_det
    build = offering("forward", inverse_and_log_det=wrong)
    assert small(build, "values")[0].passed
    assert "inverse and log-det" in message(build, "log_dets").splitlines()[0]


@pytest.mark.parametrize(("names", "level", "said"), [
    (("inverse",), "values", "forward or forward_and_log_det is not offered"),
    (("inverse", "forward"), "log_dets", "inverse_log_det_jacobian or inverse_and_log_det is not"),
    (("log_prob",), "values", "inverse or inverse_and_log_det is not offered"),
    (set(OFFERINGS) - {"layers"}, "layers", '"layers": layers is not offered.'),
    (set(OFFERINGS) - {"initialize"}, "all", '"all": initialize is not offered.'),
    ((), "values", "forward or forward_and_log_det is not offered"),
    ((), "offered", "it offers none of inverse, inverse_log_det_jacobian"),
    ((), "all", "bits_per_dim is not offered")])
def test_what_a_level_asks_for_and_is_not_offered(names, level, said):
    text = message(offering(*names), level)
    assert said in text.splitlines()[0] and "What explains it" not in text


def test_what_one_number_type_lacks():
    def build(architecture, parameters):
        names = ("inverse", "forward") if architecture["dtype"] == "float64" else ("inverse",)
        return offering(*names)(architecture, parameters)
    text = message(build, "values", dtype=None)
    assert text.startswith('At level "values": forward or forward_and_log_det is not offered.')


def test_gradients_of_no_parameter_are_none():
    text = message(offering(*LEVELS["density"], gradients=lambda x: {}), "gradients")
    total = len(small_glow().trainable_variables)
    assert f"gradients lacks {total} of {total}: block0." in text.splitlines()[0]


def test_layers_that_are_missing_and_those_without_log_dets():
    def layers(x):
        port = PortedGlow(architecture_of(small_glow()), parameters_of(small_glow()))
        return [entry[:2] for entry in port.layers(x)]
    assert small(offering(*LEVELS["density"], layers=layers), "layers")[0].passed
    text = message(offering(*LEVELS["density"], layers=lambda x: layers(x)[:-1]), "layers")
    assert "layers cannot be compared" in text and "block0.step0.coupling" in text


def test_what_is_too_ill_conditioned_to_compare_is_not_called_right():
    glow = small_glow().astype(np.float64)
    for variable in glow.trainable_variables:
        if variable.name.endswith("conv.lower_upper"):
            variable.assign(variable.numpy() + np.triu(np.full(variable.shape, 0.6), 1))
    double, single = assert_conforms(PortedGlow, "values", glow=glow)  # float64 tells something
    assert not double.skipped[0].startswith("forward") and single.skipped[0].startswith("forward")
    with pytest.raises(AssertionError, match="forward is too ill-conditioned with this model to"):
        assert_conforms(PortedGlow, "values", glow=glow, dtype=np.float32)


# ---- what a failure says -------------------------------------------------------------------------


@pytest.mark.parametrize(("mutant", "level", "said"), [
    ("squeeze-space-to-depth", "values",
     ["block1.squeeze", 'yours is "a b c"', "output by"]),
    ("conv-transposed", "density", ["block1.step1.conv", 'yours is "W^T"']),
    ("log-det-negative", "log_dets", ["log-det"])])
def test_a_mistake_is_named(mutant, level, said):
    text = message(MUTANTS[mutant].build, level)
    assert text.startswith(f'At level "{level}": ') and "What explains it (float64):" in text
    explanation = " ".join(text.split())
    assert [part for part in said if part not in explanation] == []
    assert "no convention or mistake" not in explanation
    assert "ok" not in text.split()  # a table of what differs only


def test_a_mistake_in_float32_alone():
    def build(architecture, parameters):
        narrow = architecture["dtype"] == "float32"
        return offering("inverse", "layers", of=MUTANTS["precision-float16"].build if narrow
                        else PortedGlow)(architecture, parameters)
    text = message(build, "offered", dtype=None)
    assert "f64" not in text.split() and "What explains it (float32):" in text
    assert 'yours is "float16"' in " ".join(text.split())


def test_an_exception_is_told_with_its_own_traceback():
    def log_prob(x):
        raise ZeroDivisionError("[in mine]")
    with pytest.raises(AssertionError) as failed:
        small(offering(*LEVELS["log_dets"], log_prob=log_prob), "density")
    assert "raised ZeroDivisionError: [in mine]" in str(failed.value)
    cause = failed.value.__cause__
    assert isinstance(cause, ZeroDivisionError)
    assert [frame.name for frame in traceback.extract_tb(cause.__traceback__)] == ["log_prob"]


@pytest.mark.parametrize(("returned", "reason"), [
    (None, "returned None, not an array"), (np.zeros(3), "has shape [3]; expected [4]"),
    (np.full(4, np.nan), "is not finite at 4 of 4 places")])
def test_what_is_no_result(returned, reason):
    text = message(offering(log_prob=lambda x: returned), "offered")
    assert text.startswith('At level "offered": log_prob cannot be compared.') and reason in text


def wrong(architecture, parameters):
    return MUTANTS["squeeze-space-to-depth"].build(architecture, parameters)


def test_how_to_see_more():
    command = "To see more: refglow validate --implementation "
    with_model = " --model MODEL.safetensors --html report.html"
    [last] = message(wrong, "values").splitlines()[-1:]
    assert re.fullmatch(rf"{command}\S*test_testing.py:wrong{with_model}", last)
    [last] = message(lambda *given: wrong(*given), "values").splitlines()[-1:]
    assert last == f"{command}FILE.py:NAME{with_model}"


@pytest.mark.parametrize("keywords", [{"level": "most"}, {"dtype": np.float16},
                                      {"images": np.zeros((1, 3, 3, 2))}])
def test_requests_that_cannot_be_met(keywords):
    with pytest.raises(ValueError, match=r"can be|shape|Expected"):
        assert_conforms(PortedGlow, **{"glow": small_glow()} | keywords)


# ---- vectors -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vectors():
    with golden_vectors() as found:
        yield found


def test_vectors_by_operation_name_and_flag():
    assert names_of("OneByOneConv") == names_of("one_by_one_conv") != []
    assert all(name.startswith("glow-") for name in names_of("Glow"))
    assert names_of("actnorm-3x", "realnvp-5") and len(names_of()) == len(VECTORS)
    chosen = names_of("RealNVP", flags=["SwappedParams"])
    assert 0 < len(chosen) < len(names_of("RealNVP"))
    forward, inverse = (set(names_of("OneByOneConv", direction=direction))
                        for direction in ("forward", "inverse"))
    assert inverse - forward == {"onebyoneconv-substitution"}
    with pytest.raises(ValueError, match="can be forward or inverse; got 'back'"):
        names_of(direction="back")
    with pytest.raises(ValueError, match="No operation is called 'conv3'"):
        names_of("conv3")
    with pytest.raises(ValueError, match="No vector has the flag 'Half'"):
        names_of(flags=["Half"])
    with pytest.raises(ValueError, match="can be forward or inverse; got 'there'"):
        names_of("Exp", direction="there")


def test_a_direction_chooses_vectors_that_have_it(vectors):
    some = names_of("OneByOneConv", direction="forward")
    assert set(names_of("OneByOneConv")) - set(some) == {"onebyoneconv-substitution"}
    assert all("forward/input" in vectors[name].inputs for name in some)


def test_a_vector_holds_what_a_test_needs(vectors):
    name = names_of("ScaleMatvecLU")[0]
    vector = vectors[name]
    assert vectors[name] is vector and len(vectors) == len(list(vectors)) == len(VECTORS)
    assert isinstance(vector, GoldenVector) and vector.operation == "ScaleMatvecLU"
    assert vector.parameters.keys() == {"lower_upper", "permutation"} and vector.flags
    assert {array.dtype.name for array in vector.results["float32"].values()} == {"float32"}
    assert {"forward/input", "forward/value_bar"} <= vector.inputs.keys()
    with pytest.raises(KeyError, match="no golden vector 'none'"):
        vectors["none"]
    with pytest.raises(KeyError, match="has no result 'value'; it has: forward/"):
        vector.assert_matches("value", np.zeros(3))


def test_what_a_test_writes_into_a_vector_no_other_test_sees(vectors):
    vector = vectors[names_of("OneByOneConv")[3]]
    held = [vector.inputs, vector.parameters, *vector.results.values()]
    before = [dict(arrays) for arrays in held]
    for arrays in held:
        for name in arrays:
            arrays[name][...] = 0
    for arrays, there in zip(held, before, strict=True):
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, there[name])
    right = before[2]["forward/value"]
    assert right.any() and vector.assert_matches("forward/value", right).passed


def test_the_vectors_that_the_documentation_names_are_there(vectors):
    texts = [testing.__doc__, pytest_plugin.__doc__, pytest_plugin.refglow_vectors.__doc__]
    names = [name for text in texts for name in re.findall(r'vectors\["(.*?)"\]', text)]
    assert len(names) >= 2 and set(names) <= set(vectors)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_result_is_judged(vectors, dtype):
    vector = vectors[names_of("OneByOneConv")[3]]
    truth = vector.results[dtype]["forward/value"]
    assert vector.assert_matches("forward/value", truth).relative <= np.finfo(dtype).eps
    wrong = truth.copy()
    wrong.flat[2] *= 1.01
    with pytest.raises(AssertionError) as failed:
        vector.assert_matches("forward/value", wrong)
    text = str(failed.value)
    assert re.match(rf"forward/value of {vector.name} is off by .*; {dtype} allows", text)
    place = list(map(int, np.unravel_index(2, truth.shape)))
    assert f"Furthest at {place}" in text and f"  - {vector.flags[0]}: " in text


def test_a_result_of_which_some_numbers_are_kept(vectors):
    vector = vectors["glow-96x64x3-2-1"]
    name = "inverse/vjp/input_bar"
    places, kept = vector.places[name], vector.results["float64"][name]
    assert vector.inputs["inverse/input"].size == 96 * 64 * 3 and places.shape == kept.shape
    whole = np.zeros(vector.inputs["inverse/input"].shape)
    whole.flat[places] = kept
    assert vector.assert_matches(name, whole).passed and vector.assert_matches(name, kept).passed
    whole.flat[places[7]] += 1
    at = list(map(int, np.unravel_index(places[7], whole.shape)))
    with pytest.raises(AssertionError, match=re.escape(f"Furthest at {at}: {kept[7] + 1}")):
        vector.assert_matches(name, whole)
    with pytest.raises(AssertionError, match=r"has shape .*; it must have .*, or"):
        vector.assert_matches(name, kept[1:])


def test_what_is_no_result_of_a_vector(vectors):
    vector = vectors[names_of("Exp")[0]]
    for wrong, reason in ((None, "returned None"), (np.zeros(99), "has shape"),
                          (np.full(vector.results["float64"]["forward/value"].shape, np.nan),
                           "not finite")):
        with pytest.raises(AssertionError, match=reason):
            vector.assert_matches("forward/value", wrong)
