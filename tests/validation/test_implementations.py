"""Implementations in this process: right ones pass, wrong ones are seen where they are wrong."""

import functools
import io
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy_glow import NumpyGlow
from rich.console import Console

from refglow.bijectors import Glow
from refglow.training.model import affine_network
from refglow.validation.conditioning import UNBOUNDED
from refglow.validation.diagnosis.of_conformance import diagnosis_of, explanation_of
from refglow.validation.implementations import conformance
from refglow.validation.implementations.calls import ObjectCalls
from refglow.validation.implementations.conformance import conformance_of
from refglow.validation.implementations.model import (
    architecture_of,
    parameters_of,
)
from refglow.validation.implementations.offerings import OFFERINGS, built, offered
from refglow.validation.implementations.reference import reference_of
from refglow.validation.implementations.references import references
from refglow.validation.implementations.report import conformance_table, details
from refglow.validation.mutants import PortedGlow
from refglow.validation.random_models import random_images, randomize_weights
from refglow.validation.tolerances import agreement

SHAPE = (4, 8, 2)


def glow_of(dtype=np.float64, **arguments):
    rng = np.random.default_rng(3)
    glow = Glow(SHAPE, 2, 2, affine_network(6), seed=rng, dtype=dtype, **arguments)
    randomize_weights(glow, rng, 0.4)
    return glow


def implementation(kind=NumpyGlow, glow=None):
    glow = glow_of() if glow is None else glow
    return built(kind, architecture_of(glow), parameters_of(glow))


IMAGES = random_images(np.random.default_rng(4), 3, SHAPE)


@functools.cache
def reference(dtype):
    return reference_of(glow_of(dtype), IMAGES)


def compared(thing, dtype=np.float64):
    return conformance_of(reference(dtype), ObjectCalls(thing))


def wrong_rows(found, group):
    return [row.prop for row in found.rows if row.bijector == group and not row.passed]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_right_implementation_agrees_in_everything_it_offers(dtype):
    found = conformance(glow_of(dtype), implementation(glow=glow_of(dtype)), IMAGES)
    assert found.passed, details([found])
    assert found.absent == ("gradients",) and found.first_wrong_layer is None
    groups = {row.bijector for row in found.rows}
    assert groups == set(OFFERINGS) - {"gradients"} | {"layers, each alone", "own"}
    assert [layer.name for layer in found.layers][:3] == [
        "block1.squeeze", "block1.step1.actnorm", "block1.step1.conv"]
    assert all(len(layer.alone) == len(layer.cumulative) == 2 for layer in found.layers)
    own = [row.prop for row in found.rows if row.bijector == "own"]
    assert ("ildj(x) = log|det J| by differences" in own) == (dtype == np.float64)


@pytest.mark.parametrize("fractions", [(0.3, 0.8), (0.75, 1.0), (0.0, 0.0)])
def test_any_exits(fractions):
    glow = glow_of(grab_after_block=fractions)
    found = conformance(glow, implementation(glow=glow),
                        random_images(np.random.default_rng(4), 2, SHAPE))
    assert found.passed, details([found])


class WithGradients(NumpyGlow):
    """And gradients, by PyTorch: tensors that record gradients, as results."""

    def __init__(self, architecture, parameters):
        super().__init__(architecture, parameters)
        torch = pytest.importorskip("torch", reason="PyTorch is not installed")
        from refglow.validation import torch_oracle
        self.glow = glow_of(architecture["dtype"])
        self.tensors = torch_oracle.torch_parameters(self.glow)
        self.torch, self.oracle = torch, torch_oracle

    def log_prob(self, x):
        return self.oracle.torch_log_prob(self.glow, self.tensors, x)

    def gradients(self, x):
        at = self.torch.tensor(x, requires_grad=True)
        names = [name for name, tensor in self.tensors.items() if tensor.requires_grad]
        found = self.torch.autograd.grad(self.log_prob(at).mean(),
                                         [*(self.tensors[name] for name in names), at])
        return dict(zip([*names, "x"], found, strict=True))


@pytest.fixture
def one_thread():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_are_compared_by_name(dtype, one_thread):
    found = compared(implementation(WithGradients, glow_of(dtype)), dtype)
    assert found.passed, details([found])
    trainable = {variable.name for variable in glow_of().trainable_variables}
    assert {row.prop for row in found.rows if row.bijector == "gradients"} == trainable | {"x"}


@pytest.mark.parametrize("wrong", [lambda g: 3 * g, lambda g: 0 * g])
def test_a_wrong_gradient_is_seen_by_the_reference_and_by_its_own_density(wrong, one_thread):
    class Wrong(WithGradients):
        def gradients(self, x):
            return {name: wrong(value) for name, value in super().gradients(x).items()}
    found = compared(implementation(Wrong))
    assert len(wrong_rows(found, "gradients")) == len(glow_of().trainable_variables) + 1
    assert wrong_rows(found, "own") == ["gradient of x by differences"]


def test_gradients_of_unknown_parameters_fail_and_missing_ones_are_listed():
    def gradients(x):
        return {"x": np.zeros(x.shape), "block9.bias": np.zeros(3)}
    found = compared(SimpleNamespace(gradients=gradients))
    assert [call.reason for call in found.failed] == [
        "gives what the model does not have: block9.bias"]
    assert any("gradients, float64:" in text and "not given" in text for text in found.skipped)


# ---- wrong in one layer --------------------------------------------------------------------------


def wrong_layer(kind, at, mistake):
    """NumpyGlow with one of its layers wrong."""
    def layer(self, name, x, *rest):
        right = getattr(NumpyGlow, kind)
        return mistake(self, right, name, x, *rest) if name == at else right(self, name, x, *rest)
    return type("Wrong", (NumpyGlow,), {kind: layer})


def _transposed(self, right, name, x):
    _, log_det = right(self, name, x)
    return x @ self.matrix(name)[0], log_det


def _shift_after(self, right, name, x):
    _, log_det = right(self, name, x)
    return x * np.exp(self.p[name + ".log_scale"]) + self.p[name + ".shift"], log_det


def _without_pixels(self, right, name, x):
    y, log_det = right(self, name, x)
    return y, log_det / (x.shape[1] * x.shape[2])


def _slightly(self, right, name, x, *rest):
    y, log_det = right(self, name, x, *rest)
    return y * (1 + 1e-11), log_det


MISTAKES = [("conv", "block1.step0.conv", _transposed, "output"),
            ("actnorm", "block0.step1.actnorm", _shift_after, "output"),
            ("actnorm", "block1.step1.actnorm", _without_pixels, "log_det"),
            ("conv", "block0.step0.conv", _without_pixels, "log_det"),
            ("coupling", "block0.step1.coupling", _slightly, "output"),
            ("exit", "block1.exit", _slightly, "output")]


@pytest.mark.parametrize(("kind", "at", "mistake", "what"), MISTAKES)
def test_the_layer_that_is_wrong_is_named_and_no_other_alone(kind, at, mistake, what):
    found = compared(implementation(wrong_layer(kind, at, mistake)))
    assert not found.passed and found.first_wrong_layer == at
    assert wrong_rows(found, "layers, each alone") == [f"{at}/{what}"]
    on_the_way = wrong_rows(found, "layers")
    assert on_the_way[0] == f"{at}/{what}"
    assert len(on_the_way) == 1 if what == "log_det" else len(on_the_way) > 2
    [text] = [line for line in details([found]) if "the first that differs" in line]
    assert at in text


def test_a_flow_of_other_conventions_is_consistent_with_itself():
    class FromTheLeft(NumpyGlow):
        def matrix(self, name):
            w, log_det = super().matrix(name)
            return w.T, log_det
    found = compared(implementation(FromTheLeft))
    assert found.first_wrong_layer == "block1.step1.conv" and wrong_rows(found, "inverse")
    assert wrong_rows(found, "own") == []


def test_a_log_det_wrong_in_both_directions_is_seen_by_the_jacobian_alone():
    class Halved(NumpyGlow):
        def inverse_log_det_jacobian(self, x):
            return super().inverse_log_det_jacobian(x) / 2

        def forward_log_det_jacobian(self, z):
            return super().forward_log_det_jacobian(z) / 2
    found = compared(implementation(Halved))
    assert wrong_rows(found, "own") == ["ildj(x) = log|det J| by differences"]


def test_a_forward_that_is_not_the_inverse_is_seen():
    class NoShift(NumpyGlow):
        def forward(self, z):
            return super().forward(z) + 1e-9
    assert wrong_rows(compared(implementation(NoShift)), "own") == ["forward(inverse(x)) = x"]


# ---- what is no result ---------------------------------------------------------------------------


def spoilt(**functions):
    """A right implementation with some of its functions replaced, without effect on the others."""
    right = implementation()
    return SimpleNamespace(**{name: getattr(right, name) for name in offered(right)} | functions)


def _raise(error):
    raise error


class _Unconvertible:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("on another device")


class _UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError


NO_RESULTS = {
    "None": (lambda x: None, "returned None, not an array"),
    "a string": (lambda x: "z", "returned a str, not an array"),
    "a list": (lambda x: [0.5], "returned a list, not an array"),
    "a ragged list": (lambda x: [[1.0], [1.0, 2.0]], "returned a list, not an array"),
    "an array of objects": (lambda x: np.array([None, x], object), "array of object"),
    "an array of strings": (lambda x: np.array(["a"]), "array of <U1"),
    "complex": (lambda x: x.reshape(3, -1) + 1j, "array of complex128"),
    "integers": (lambda x: np.zeros((3, 64), int), "array of int64"),
    "another shape": (lambda x: x, "has shape [3, 4, 8, 2]; expected [3, 64]"),
    "one number": (lambda x: np.float64(1), "has shape []; expected [3, 64]"),
    "NaN": (lambda x: np.full((3, 64), math.nan), "holds nan at [0, 0] and is not finite at 192"),
    "not convertible": (lambda x: _Unconvertible(), "does not become an array: on another device"),
    "an exception": (lambda x: _raise(KeyError("w")), "raised KeyError: 'w' (test_implementations"),
    "exit": (lambda x: _raise(SystemExit(0)), "raised SystemExit: 0"),
    "no message": (lambda x: _raise(_UnspeakableError()), "its message cannot be shown"),
    "control characters": (lambda x: _raise(ValueError("\x1b[2J\n[red]x")), "?[2J [red]x")}


@pytest.mark.parametrize(("function", "reason"), NO_RESULTS.values(), ids=NO_RESULTS)
def test_what_is_no_result_is_one_failed_call_and_the_rest_goes_on(function, reason):
    found = compared(spoilt(inverse=function))
    [failed] = found.failed
    assert not found.passed
    assert failed.offering == "inverse" and reason in failed.reason and "\n" not in failed.reason
    assert all(row.passed for row in found.rows)
    assert {row.bijector for row in found.rows} >= {"forward", "inverse_and_log_det", "layers"}
    console = Console(file=io.StringIO(), width=80)
    console.print(conformance_table([found]))
    for line in details([found]):
        console.print(line)
    printed = console.file.getvalue()
    assert "FAIL" in printed and "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_pair_that_is_none_fails():
    for value in (None, (1, 2, 3), np.zeros(3)):
        [failed] = compared(spoilt(inverse_and_log_det=lambda x, v=value: v)).failed
        assert "expected a tuple of 2 arrays" in failed.reason


def _renamed(x, names):
    right = implementation()
    return [(names(name), y, log_det) for name, y, log_det in right.layers(x)
            if names(name) is not None]


LAYER_LISTS = {
    "unknown": (lambda n: {"block1.exit": "exit1"}.get(n, n),
                ["1 of the layers' names is unknown: exit1", "is missing: block1.exit"]),
    "missing": (lambda n: None if n in ("block1.exit", "block0.step0.conv") else n,
                ["2 of the layers' names are missing: block1.exit, block0.step0.conv"]),
    "repeated": (lambda n: n.replace("step1.conv", "step0.conv"),
                 ["2 of the layers' names are missing: block1.step1.conv, block0.step1.conv",
                  "2 of the layers' names are repeated: block1.step0.conv, block0.step0.conv"]),
    "control": (lambda n: n + "\x1b[2J" if n == "block1.squeeze" else n,
                ["is unknown: block1.squeeze?[2J", "is missing: block1.squeeze"])}


@pytest.mark.parametrize(("names", "reasons"), LAYER_LISTS.values(), ids=LAYER_LISTS)
def test_layers_of_other_names_are_one_failure_each(names, reasons):
    found = compared(spoilt(layers=lambda x: _renamed(x, names)))
    told = [call.reason for call in found.failed if "names" in call.reason]
    assert all(any(reason in text for text in told) for reason in reasons), told
    assert wrong_rows(found, "inverse") == []


def test_layers_in_another_order_or_of_another_form():
    backwards = compared(spoilt(layers=lambda x: _renamed(x, lambda n: n)[::-1]))
    [failed] = backwards.failed
    assert "not in the order from image to latent" in failed.reason
    for value in (None, 3, ["block0.exit"], [("block0.exit", None)], "block0.exit"):
        [failed] = compared(spoilt(layers=lambda x, v=value: v)).failed[:1]
        assert failed.offering == "layers"
    as_dict = compared(spoilt(layers=lambda x: {
        name: y for name, y, _ in _renamed(x, lambda n: n)}))
    assert as_dict.passed and any("log_det" in text for text in as_dict.skipped)


def _in_place(x):
    """Right layers whose outputs are one array, changed from layer to layer where shapes allow."""
    kept = None
    for name, y, log_det in implementation().layers(x):
        if kept is not None and kept.shape == y.shape:
            kept[...] = y
        else:
            kept = y.copy()
        yield name, kept, log_det


def test_two_calls_that_give_the_same_result_otherwise_are_remarked_on():
    right, rng = implementation(), np.random.default_rng(0)

    def noisy(x):
        z, log_det = right.inverse_and_log_det(x)
        return z + 0.01 * rng.normal(size=z.shape), log_det
    found = compared(SimpleNamespace(inverse=lambda x: noisy(x)[0], inverse_and_log_det=noisy))
    [remark] = [text for text in found.remarks if "random" in text]
    assert remark.startswith("inverse_and_log_det and the call before it give another inverse")
    assert not compared(right).remarks
    wrong = compared(SimpleNamespace(inverse=lambda x: 2 * right.inverse(x), inverse_and_log_det=(
        lambda x: (2 * right.inverse(x), right.inverse_log_det_jacobian(x)))))
    assert not wrong.passed and not wrong.remarks


def test_a_narrower_number_type_is_what_differs():
    glow = glow_of(np.float32)
    narrow = implementation(glow=glow)
    found = compared(SimpleNamespace(inverse=lambda x: narrow.inverse(x.astype(np.float32)),
                                     log_prob=lambda x: narrow.log_prob(x.astype(np.float32))))
    [said] = explanation_of(found, diagnosis_of(found))
    assert "it was given float64 and returned float32, to whose digits what differs agrees" in said
    off = compared(SimpleNamespace(inverse=lambda x: narrow.inverse(
        x.astype(np.float32)) * np.float32(1.001)))
    assert "a number type" not in "".join(explanation_of(off, diagnosis_of(off)))


def test_a_generator_may_change_a_layer_in_place_once_it_was_taken():
    assert compared(spoilt(layers=_in_place)).passed


# ---- offering little -----------------------------------------------------------------------------


def test_only_an_inverse_is_enough():
    found = compared(SimpleNamespace(inverse=implementation().inverse, forward=None))
    assert found.passed and [row.bijector for row in found.rows] == ["inverse"]
    assert set(found.absent) == set(OFFERINGS) - {"inverse"}
    assert any(text.startswith("own, forward(inverse(x)) = x") for text in found.skipped)


def test_nothing_offered_does_not_pass():
    found = compared(object())
    assert not found.passed and "offers none of: inverse" in found.failed[0].reason


def test_float32_for_float64_is_told():
    right = implementation()
    found = compared(spoilt(inverse=lambda x: right.inverse(x).astype(np.float32)))
    assert wrong_rows(found, "inverse") == ["inverse"]
    assert found.remarks == ("inverse was given float64 and returned float32",)


def test_memory_used_again_and_inputs_overwritten_do_no_harm():
    right, memory = implementation(), np.empty((3, 64))

    def inverse(x):
        memory[...] = right.inverse(x)
        x[...] = 0
        return memory

    def log_prob(x):
        memory[...] = 0
        return right.log_prob(x)
    found = compared(spoilt(inverse=inverse, log_prob=log_prob))
    assert wrong_rows(found, "inverse") == [] and wrong_rows(found, "log_prob") == []
    assert found.raw["inverse"].arrays["inverse"].any()


def test_what_a_user_names_is_built():
    architecture, parameters = architecture_of(glow_of()), parameters_of(glow_of())
    assert architecture == {
        "output_shape": [4, 8, 2], "blockwise_splits": [[16, 0, 16], [4, 4, 0]],
        "num_glow_blocks": 2, "num_steps_per_block": 2, "grab_after_block": [0.5, 0.0],
        "use_actnorm": True, "dtype": "float64"}

    class Plain:
        def inverse(self, x):
            return x
    assert isinstance(built(Plain, architecture, parameters), Plain)
    assert isinstance(built(NumpyGlow, architecture, parameters), NumpyGlow)
    there = Plain()
    assert built(there, architecture, parameters) is there
    made = built(lambda a, p: p, architecture, parameters)
    made["block0.step0.actnorm.shift"][...] = 0
    assert parameters["block0.step0.actnorm.shift"].any()


def test_models_and_images_that_cannot_be_compared_are_refused():
    fresh = Glow(SHAPE, 2, 2, affine_network(6), seed=0)
    with pytest.raises(ValueError, match=r"block0\.step0\.actnorm\.initialized is false"):
        conformance(fresh, object(), np.zeros((1, *SHAPE)))
    for images in (np.zeros(SHAPE), np.zeros((0, *SHAPE)), np.full((1, *SHAPE), np.inf)):
        with pytest.raises(ValueError, match="Expected finite images"):
            conformance(glow_of(), object(), images)


@pytest.mark.parametrize("float32_numbers", [True, False])
def test_one_evaluation_is_the_truth_for_both_types(float32_numbers):
    model = glow_of(np.float32).astype(np.float64) if float32_numbers else glow_of()
    wide, narrow = references(model, IMAGES, ("float64", "float32"))
    alone = reference_of(model.astype(np.float32), IMAGES, narrow.z)
    assert wide.dtype == np.float64 and narrow.dtype == np.float32
    assert {narrow.x.dtype, narrow.z.dtype} == {np.dtype(np.float32)}
    assert (narrow.truth["inverse"] is wide.truth["inverse"]) == float32_numbers
    assert narrow.truth.keys() == alone.truth.keys() == narrow.conditions.keys() - {
        "round_trip", "opposite_log_dets"}
    for name, array in alone.truth.items():
        np.testing.assert_array_equal(narrow.truth[name], array)
        assert math.isclose(narrow.conditions[name], alone.conditions[name], rel_tol=1e-5)
        assert narrow.tolerance(name).relative > 1e6 * wide.tolerance(name).relative
    assert any((narrow.truth[name] != wide.truth[name]).any() for name in narrow.truth
               if name.startswith("initialize/"))


class AddedUp(NumpyGlow):
    """Sums of couplings and densities in loops, as a program without NumPy has them."""

    def coupling(self, name, x):
        y, _ = super().coupling(name, x)
        log_s = self.scale_and_shift(name, x[..., :x.shape[-1] // 2])[1]
        return y, np.array([added(each) for each in log_s])

    def log_prob(self, x):
        z, ildj = self.inverse_and_log_det(x)
        return (np.array([added(-0.5 * each**2) for each in z]) - (
            0.5 * z.shape[1] * math.log(2 * math.pi)) + ildj).astype(x.dtype)


def added(numbers):
    total = numbers.dtype.type(0)
    for number in numbers.reshape(-1):
        total += number
    return total


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_log_dets_that_are_added_up_number_after_number_are_right(seed):
    """Of scales that hardly differ, whose sum's roundings all go one way."""
    rng = np.random.default_rng(seed)
    glow = Glow((64, 64, 2), 1, 1, affine_network(2), seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, 0.1)
    x = random_images(np.random.default_rng(4), 1, (64, 64, 2))
    found = conformance(glow, implementation(AddedUp, glow), x)
    assert found.passed, details([found])
    [row] = [row for row in found.rows
             if (row.bijector, row.prop) == ("layers, each alone", "block0.step0.coupling/log_det")]
    assert row.relative > 20 * agreement(np.float64, 1, row.condition).relative
    assert diagnosis_of(found).agrees


def test_log_dets_that_are_added_up_number_after_number_in_float32_are_told():
    """There digits are lost that a sum in float64, or in pairs, keeps: as NumPy's does."""
    rng = np.random.default_rng(0)
    glow = Glow((128, 128, 2), 1, 1, affine_network(2), seed=rng, dtype=np.float32)
    randomize_weights(glow, rng, 0.1)
    x = random_images(np.random.default_rng(4), 1, (128, 128, 2)).astype(np.float32)
    assert conformance(glow, implementation(NumpyGlow, glow), x).passed
    found = conformance(glow, implementation(AddedUp, glow), x)
    assert "block0.step0.coupling/log_det" in [
        row.prop for row in found.rows if row.bijector == "layers, each alone" and not row.passed]


def _growing(log_scale):
    """A model whose last ActNorm multiplies by e^log_scale."""
    glow = glow_of(np.float32)
    state = glow.state_dict()
    state["block0.step0.actnorm.log_scale"] = np.full_like(
        state["block0.step0.actnorm.log_scale"], log_scale)
    glow.load_state_dict(state)
    return glow


def _towards_latents(glow, dtype):
    """A right implementation of some functions."""
    right = implementation(PortedGlow, glow.astype(dtype))
    return SimpleNamespace(inverse=right.inverse, log_prob=right.log_prob, layers=right.layers)


def test_what_a_number_type_cannot_hold_is_not_held_against_a_right_implementation():
    glow = _growing(95.0)  # e^95 is 2e41, and float32 ends at 3e38
    with np.errstate(all="ignore"):
        for narrow in references(glow.astype(np.float64), IMAGES, ["float64", "float32"]):
            found = conformance_of(narrow, ObjectCalls(_towards_latents(glow, narrow.dtype)))
            assert found.passed and found.first_wrong_layer is None, details([found])
            held = "inverse" in {row.bijector for row in found.rows}
            assert held == (narrow.dtype == np.float64)
    assert any("inverse, inverse, float32: layers/block0.step0.actnorm/output reaches" in one
               and "float32 ends at 3e+38" in one for one in found.skipped), found.skipped
    compared_layers = {row.prop for row in found.rows if row.bijector == "layers"}
    assert "block0.step1.coupling/output" in compared_layers  # what comes before it
    flat = SimpleNamespace(inverse=lambda x: np.full(len(x), np.inf, x.dtype))
    [failed] = conformance_of(narrow, ObjectCalls(flat)).failed
    assert failed.reason.startswith("has shape")


def test_where_the_truth_overflows_nothing_is_compared():
    glow = _growing(400.0).astype(np.float64)  # (e^400)^2 of log p is more than float64 holds
    with np.errstate(all="ignore"):
        found = conformance(glow, _towards_latents(glow, np.float64), IMAGES)
    assert found.passed, details([found])
    assert "inverse" in {row.bijector for row in found.rows}
    assert ("log_prob, log_prob, float64: float64, in which the truth is computed, overflows"
            in found.skipped), found.skipped


def test_a_round_trip_that_roundings_make_nan_is_too_ill_conditioned_to_tell():
    unbounded = reference(np.float32)
    unbounded = replace(unbounded, conditions=unbounded.conditions | {"round_trip": UNBOUNDED})
    right, nan = implementation(glow=glow_of(np.float32)), []

    def forward(z):
        nan.append(z)
        return right.forward(z) * (1 if len(nan) == 1 else np.nan)
    found = conformance_of(unbounded, ObjectCalls(
        SimpleNamespace(forward=forward, inverse=right.inverse)))
    assert len(nan) == 2 and found.passed, details([found])
    assert any("forward(inverse(x)) = x, float32: too ill-conditioned to tell" in one
               for one in found.skipped)
    wrong = compared(SimpleNamespace(forward=lambda z: np.full_like(right.forward(z), np.nan),
                                     inverse=right.inverse), np.float32)
    assert not wrong.passed


@pytest.mark.parametrize("strict", [True, False])
def test_a_forward_that_makes_latents_is_named_and_the_rest_is_compared(strict):
    right = implementation()

    def taking(function, ndim):
        def checked(argument):
            if strict and argument.ndim != ndim:
                raise ValueError("wrong way")
            return function(argument.reshape(-1, *SHAPE) if ndim == 4 else
                            argument.reshape(len(argument), -1))
        return checked
    found = compared(SimpleNamespace(
        forward=taking(right.inverse, 4), inverse=taking(right.forward, 2),
        forward_and_log_det=taking(right.inverse_and_log_det, 4),
        inverse_log_det_jacobian=taking(right.forward_log_det_jacobian, 2), layers=right.layers))
    [failed] = found.failed
    assert failed.offering == "forward" and "makes latents of images" in failed.reason
    assert found.directions_exchanged and not found.passed
    assert all(row.passed for row in found.rows)
    assert {row.bijector for row in found.rows} == {
        "inverse", "forward", "inverse_and_log_det", "forward_log_det_jacobian", "layers",
        "layers, each alone", "own"}
    assert diagnosis_of(found).answers == {"direction": "forward makes latents"}


@pytest.mark.parametrize("thing", [
    SimpleNamespace(inverse=lambda x: np.zeros((3, 2)), forward=lambda z: np.zeros((3, *SHAPE))),
    SimpleNamespace(inverse=lambda x: np.zeros((3, *SHAPE)), forward=lambda z: 1 / 0)])
def test_directions_are_not_exchanged_for_want_of_a_right_shape(thing):
    assert not compared(thing).directions_exchanged
