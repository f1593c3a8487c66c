"""The port agrees with refglow; every mistake planted in it shows."""

import inspect
import re
from functools import cache, partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow.training.bits_per_dim import bits_per_dim
from refglow.training.model import distribution_of
from refglow.validation import mutants
from refglow.validation.against_golden import conditions_of
from refglow.validation.compare import difference
from refglow.validation.diagnosis.gradient_search import INSTEAD, OF_ONE_KIND
from refglow.validation.diagnosis.precision import NARROW, OPERANDS
from refglow.validation.dialects import FIELDS
from refglow.validation.implementations.model import architecture_of
from refglow.validation.layers import layers_towards_latent
from refglow.validation.live import random_glow
from refglow.validation.mutants import ALL_MUTANTS, MUTANTS, PortedGlow, can_combine, combined
from refglow.validation.mutants.checklist import CHECKLIST
from refglow.validation.mutants.mutant import Mutant, changed
from refglow.validation.mutants.mutants_of_precision import as_bfloat16, as_tf32
from refglow.validation.random_models import (
    random_architecture,
    random_images,
    randomize_weights,
)
from refglow.validation.tolerances import GRADIENTS_AGAINST_AUTODIFF, agreement, rounding_layers

# Conventions of projects whose arrays TFP's Glow does not have.
OTHER_ARRAYS = {"gain", "hidden_norm"}
PARAMETERS = ("shift", "log_scale", "lower_upper", "kernel", "bias", "x")
VOCABULARY = {
    **{name: field.answers for name, field in FIELDS.items() if name not in OTHER_ARRAYS},
    "precision": ("as given", *NARROW, *OPERANDS), "temperature": ("1", "0.7"),
    "gradient": (*INSTEAD, *(f"{what}, by {kind}" for what in OF_ONE_KIND for kind in PARAMETERS))}
# Those whose wrong function is a flow as good as the right one: forward undoes inverse, and the
# log-det is that of the Jacobian.
CONVENTIONS = {"squeeze", "conditioning", "affine", "scale", "layout", "actnorm", "matrix",
               "factors", "step_order", "steps", "blocks", "exit_affine", "exit_scale",
               "exit_layout", "exit_half", "sides", "padding", "activation", "kernel", "bias",
               "latents"}
ONE_WAY = {"conv-undone-by-transpose", "coupling-not-undone", "actnorm-shift-not-undone",
           "exit-not-undone", "coupling-epsilon-back", "steps-not-reversed-back",
           "coupling-scale-squared", "latents-dropped", "latents-dropped-from-density",
           "actnorm-batch-statistics", "actnorm-started-after-load", "conv-not-undone",
           "squeeze-not-undone"}
NOTICEABLE = 1e-3
# What a rounding to fewer digits shows, at least; and log2(255) = 7.9944 for 8.
SMALL = {"precision-float32": 1e-8, "precision-float16": 1e-4, "precision-tf32": 1e-5,
         "bits-log2-255": 4e-4}
BY_NAME = pytest.mark.parametrize("mutant", ALL_MUTANTS, ids=lambda mutant: mutant.name)


def model_of(dtype=np.float64, gain=0.5, hidden=4, **arguments):
    rng = np.random.default_rng(7)
    network = partial(tfb.GlowDefaultNetwork, num_hidden=hidden)
    glow = tfb.Glow(coupling_bijector_fn=network, seed=rng, dtype=dtype, **arguments)
    randomize_weights(glow, rng, gain)
    return architecture_of(glow), glow.state_dict()


@cache
def small_model():
    return model_of(output_shape=(8, 8, 2), num_glow_blocks=2, num_steps_per_block=2)


@cache
def tiny_model():
    return model_of(output_shape=(4, 4, 1), num_glow_blocks=2, num_steps_per_block=2)


@cache
def equal_blocks():
    """A model whose blocks have equal shapes: three quarters of the channels exit at each."""
    return model_of(output_shape=(8, 8, 2), num_glow_blocks=2, num_steps_per_block=2,
                    grab_after_block=(0.75, 0.75))


@cache
def images(size, channels):
    return random_images(np.random.default_rng(3), 2, (size, size, channels))


@cache
def partly_constant():
    """Images whose first channel does not vary: ActNorm's epsilon decides its scale."""
    x = images(8, 2).copy()
    x[..., 0] = 0.25
    return x


# ---- the port ------------------------------------------------------------------------------------


FIXED = (
    dict(output_shape=(8, 8, 3), num_glow_blocks=3, num_steps_per_block=2, use_actnorm=True,
         grab_after_block=(0.5, 0.25, 1.0), num_hidden=5, affine=True, affine_exits=True),
    dict(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=1, use_actnorm=True,
         grab_after_block=(0.0, 0.0), num_hidden=3, affine=False, affine_exits=True),
    dict(output_shape=(4, 4, 2), num_glow_blocks=2, num_steps_per_block=1, use_actnorm=True,
         grab_after_block=(0.5, 1.0), num_hidden=3, affine=False, affine_exits=False))


def _cases():
    for k in range(4):
        rng = np.random.default_rng([11, k])
        yield random_architecture(rng), rng
    for k, arguments in enumerate(FIXED):
        yield arguments, np.random.default_rng([12, k])


@pytest.mark.parametrize("case", list(_cases()), ids=lambda case: str(case[0]["output_shape"]))
def test_port_agrees_with_refglow(case):
    arguments, rng = case
    glow = random_glow(arguments, rng, np.float64)
    port = PortedGlow(architecture_of(glow), glow.state_dict())
    x = random_images(rng, 2, arguments["output_shape"])
    z = glow.inverse(random_images(rng, 2, arguments["output_shape"]))
    found = {"inverse": port.inverse(x), "forward": port.forward(z),
             "inverse_log_det_jacobian": port.inverse_log_det_jacobian(x),
             "forward_log_det_jacobian": port.forward_log_det_jacobian(z)}
    conditions = conditions_of(glow, z, x, 1)
    for prop, actual in found.items():
        expected = (getattr(glow, prop)(x if "inverse" in prop else z) if "log" not in prop else
                    getattr(glow, prop)(*((x, 3) if "inverse" in prop else (z, 1))))
        limit = agreement(np.float64, rounding_layers(glow), conditions[prop]).relative
        assert difference(actual, expected).relative <= limit, prop
    _assert_density_agrees(glow, port, x, rounding_layers(glow))
    _assert_layers_agree(glow, port, x)


def _assert_density_agrees(glow, port, x, layers):
    limit = agreement(np.float64, layers, 10.0).relative
    log_prob, pullback = distribution_of(glow).log_prob_vjp(x)
    assert difference(port.log_prob(x), log_prob).relative <= limit
    x_bar, bars = pullback(np.full(len(x), 1 / len(x)))
    expected = {name.partition("bijector.")[2] or name: bar for name, bar in bars.items()}
    found = port.gradients(x)
    assert found.keys() == expected.keys() | {"x"}
    for name, bar in (expected | {"x": x_bar}).items():
        assert difference(found[name], bar).relative <= GRADIENTS_AGAINST_AUTODIFF, name


def _assert_layers_agree(glow, port, x):
    """Each of refglow's layers on its own input, which the chain of layers gives it."""
    found = {name: (output, *log_det) for name, output, *log_det in port.layers(x)}
    seen, y = [], x
    for layer in layers_towards_latent(glow):
        if layer.name == "reshape":
            continue
        part = y if layer.channels is None else y[..., :layer.channels]
        moved, log_det = layer.bijector.inverse_and_log_det(part, event_ndims=3)
        y = moved if layer.channels is None else np.concatenate(
            [moved, y[..., layer.channels:]], axis=-1)
        block, _, name = layer.name.partition(".")
        leave, grab, _ = glow.blockwise_splits[int(block.removeprefix("block"))]
        if name == "exit" and not (leave and grab):
            continue
        name = f"{block}.{name}".replace("expand", "squeeze")
        seen.append(name)
        assert difference(found[name][0], y[..., :leave + grab]).relative <= 1e-12, name
        if found[name][1:]:
            assert np.allclose(found[name][1], log_det, rtol=1e-12, atol=1e-12), name
    assert list(found) == seen


def test_port_starts_actnorm_as_refglow_does():
    rng = np.random.default_rng(5)
    glow = random_glow(FIXED[0], rng, np.float64)
    x = random_images(rng, 3, FIXED[0]["output_shape"])
    x[..., 0] = 0.25  # the epsilon decides
    found = PortedGlow(architecture_of(glow), glow.state_dict()).initialize(x)
    with pytest.warns(UserWarning, match="are constant"):
        glow.initialize(x)
    expected = glow.state_dict()
    assert found.keys() == {name for name in expected if name.endswith((".shift", ".log_scale"))}
    for name, value in found.items():
        assert difference(value, expected[name]).relative <= GRADIENTS_AGAINST_AUTODIFF


def test_port_measures_bits_per_dim_as_refglow_does():
    architecture, parameters = small_model()
    port, x = PortedGlow(architecture, parameters), images(8, 2)
    assert np.allclose(port.bits_per_dim(x), bits_per_dim(port.log_prob(x), 128, 8), rtol=1e-15)


def test_port_keeps_float32():
    architecture, parameters = small_model()
    narrow = {name: value.astype(np.float32) if value.dtype.kind == "f" else value
              for name, value in parameters.items()}
    port, x = PortedGlow(architecture, narrow), images(8, 2).astype(np.float32)
    z, log_det = port.inverse_and_log_det(x)
    assert z.dtype == np.float32 and log_det.dtype == np.float64
    assert port.forward(z).dtype == np.float32
    assert {bar.dtype.name for bar in port.gradients(x).values()} == {"float32"}
    exact = PortedGlow(architecture, {name: value.astype(np.float64) if value.dtype.kind == "f"
                                      else value for name, value in narrow.items()})
    assert 0 < difference(z, exact.inverse(x.astype(np.float64)), np.float32).ulps < 100


def test_port_shares_nothing_with_refglow():
    folder = Path(inspect.getfile(mutants)).parent
    for path in folder.glob("*.py"):
        imported = re.findall(r"^\s*(?:from|import) (refglow\S*)", path.read_text(), re.MULTILINE)
        assert all(name.startswith("refglow.validation.mutants") for name in imported), path


# ---- the mutants ---------------------------------------------------------------------------------


def evaluated(port, x):
    """Everything offered, cheapest first; what fails gives NaN."""
    z = images(8, 2).reshape(2, -1)
    yield "inverse", lambda: port.inverse_and_log_det(x)
    yield "layers", lambda: [a for layer in port.layers(x) for a in layer[1:]]
    yield "log_prob", lambda: [port.log_prob(x)]
    yield "bits_per_dim", lambda: [port.bits_per_dim(x)]
    yield "forward", lambda: port.forward_and_log_det(z)
    yield "initialize", lambda: list(port.initialize(x).values())
    yield "initialize, constant channel", lambda: list(port.initialize(partly_constant()).values())
    yield "gradients", lambda: list(port.gradients(x).values())
    yield "forward of inverse", lambda: port.forward_and_log_det(port.inverse(x))


@cache
def right_results(which):
    return {name: evaluate() for name, evaluate in
            evaluated(PortedGlow(*which()), images(8, 2))}


def largest(actual, expected):
    """The largest relative difference of two lists of arrays; infinite if they do not compare."""
    if len(actual) != len(expected):
        return np.inf
    return max(np.inf if np.shape(a) != np.shape(b) else difference(a, b).relative
               for a, b in zip(actual, expected, strict=True))


def departure(mutant):
    """(the first result that is noticeably wrong, by how much), or the largest departure of all."""
    which = equal_blocks if mutant.name == "blocks-reversed" else small_model
    expected, found = right_results(which), ("", 0.0)
    port = mutant.build(*which())
    with np.errstate(all="ignore"):
        for name, evaluate in evaluated(port, images(8, 2)):
            try:
                found = max(found, (name, largest(evaluate(), expected[name])), key=lambda f: f[1])
            except ValueError:
                return name, np.inf
            if found[1] > NOTICEABLE:
                break
    return found


@BY_NAME
def test_every_mistake_shows(mutant):
    limit = SMALL.get(mutant.name, NOTICEABLE)
    name, found = departure(mutant)
    assert found > limit, name


def first_wrong_layer(mutant):
    which = equal_blocks if mutant.name == "blocks-reversed" else small_model
    with np.errstate(all="ignore"):
        found = mutant.build(*which()).layers(images(8, 2))
    expected = PortedGlow(*which()).layers(images(8, 2))
    for ours, theirs in zip(expected, found, strict=False):
        if ours[0] != theirs[0] or largest(theirs[1:], ours[1:]) > 1e-9:
            return ours[0].rpartition(".")[2]
    return ""


@BY_NAME
def test_the_layer_named_is_the_first_wrong_one(mutant):
    if mutant.name.startswith("precision"):
        pytest.skip("a rounding shows in the first layer that computes")
    assert first_wrong_layer(mutant) == mutant.layer


def flows():
    return [mutant for mutant in ALL_MUTANTS
            if mutant.fields & CONVENTIONS and mutant.name not in ONE_WAY]


@pytest.mark.parametrize("mutant", flows(), ids=lambda mutant: mutant.name)
def test_a_wrong_convention_is_a_flow(mutant):
    """forward undoes inverse, the log-det is the Jacobian's, and the gradient the density's."""
    port, x = mutant.build(*tiny_model()), images(4, 1)
    z, ildj = port.inverse_and_log_det(x)
    back, fldj = port.forward_and_log_det(z)
    assert difference(back, x).relative < 1e-8
    assert np.allclose(ildj, -fldj, rtol=1e-8)
    step = 1e-5 * np.eye(16).reshape(16, 4, 4, 1)
    jacobian = (port.inverse(x[:1] + step) - port.inverse(x[:1] - step)) / 2e-5
    assert np.allclose(np.linalg.slogdet(jacobian)[1], ildj[0], rtol=1e-6, atol=1e-6)
    _assert_gradient_is_the_densitys(mutant, x)


def _assert_gradient_is_the_densitys(mutant, x):
    architecture, parameters = tiny_model()
    rng = np.random.default_rng(1)
    found = mutant.build(architecture, parameters).gradients(x)
    tangents = {name: rng.standard_normal(bar.shape) for name, bar in found.items()}
    values = []
    for step in (1e-6, -1e-6):
        moved = {name: value + step * tangents[name] if name in tangents else value
                 for name, value in parameters.items()}
        port = mutant.build(architecture, moved)
        values.append(port.log_prob(x + step * tangents["x"]).mean())
    expected = (values[0] - values[1]) / 2e-6
    assert np.isclose(sum((tangents[name] * bar).sum() for name, bar in found.items()), expected,
                      rtol=1e-5, atol=1e-5)


# ---- the records ---------------------------------------------------------------------------------


def test_names_are_unique_and_texts_complete():
    assert len(MUTANTS) == len(ALL_MUTANTS) >= 80
    for mutant in ALL_MUTANTS:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mutant.name)
        assert mutant.bug.endswith(".") and mutant.origin
        assert mutant.layer in ("squeeze", "actnorm", "conv", "coupling", "exit", "")


def test_explanations_are_in_the_vocabulary_and_cover_it():
    keys = {f"{name}={alternative}" for name, alternatives in VOCABULARY.items()
            for alternative in alternatives}
    used = {key for mutant in ALL_MUTANTS for key in mutant.explains}
    right = {f"{name}={alternatives[0]}" for name, alternatives in VOCABULARY.items()}
    assert used <= keys
    assert not used & right
    assert {key.partition("=")[0] for key in used} == VOCABULARY.keys()
    assert len(used) >= 170


def test_every_row_of_the_checklist_has_a_mistake_or_a_reason():
    for row, names, why in CHECKLIST:
        assert bool(names) != bool(why), row
        assert set(names) <= MUTANTS.keys(), row
    assert len({row for row, _, _ in CHECKLIST}) == len(CHECKLIST)


def _pairs(count):
    """Pairs drawn at random, of mistakes that show on the small model."""
    shown = [mutant for mutant in ALL_MUTANTS if mutant.name != "blocks-reversed"]
    pairs = [pair for pair in combinations(shown, 2) if can_combine(*pair)]
    return [pairs[k] for k in np.random.default_rng(2).integers(len(pairs), size=count)]


@pytest.mark.parametrize("pair", _pairs(40), ids=lambda pair: "+".join(m.name for m in pair))
def test_a_pair_of_mistakes_is_neither_of_them(pair):
    both, x = combined(*pair), images(8, 2)
    assert both.explains == pair[0].explains + pair[1].explains
    for one in pair:
        with np.errstate(all="ignore"):
            assert any(_differ(evaluate, right) for (_, evaluate), (_, right) in zip(
                evaluated(both.build(*small_model()), x),
                evaluated(one.build(*small_model()), x), strict=True)), one.name


def _differ(evaluate, right):
    try:
        expected = right()
    except ValueError:
        return False
    try:
        return largest(evaluate(), expected) > 1e-9
    except ValueError:
        return True


def test_what_cannot_be_combined_is_refused():
    with pytest.raises(ValueError, match=r"cannot be combined; both decide .*squeeze"):
        combined(MUTANTS["squeeze-space-to-depth"], MUTANTS["squeeze-quadrants"])
    assert not can_combine(MUTANTS["exit-left-out"], MUTANTS["exit-scale-exp"])
    assert can_combine(MUTANTS["coupling-shift-first"], MUTANTS["coupling-scale-exp"])


def test_a_mutant_without_a_mistake_is_found_out():
    same = Mutant("same", "None.", "nowhere", (), "", changed(scale=PortedGlow.scale))
    assert departure(same) == ("", 0.0)


def test_roundings_are_to_nearest_even():
    numbers = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-7, 0, np.inf, np.nan, 3e38],
                       np.float32)
    assert np.array_equal(as_bfloat16(numbers)[:4], np.float32([1, 1 + 2.0**-6, -1 - 2.0**-7, 0]))
    assert np.isinf(as_bfloat16(numbers)[4]) and np.isnan(as_bfloat16(numbers)[5])
    assert np.array_equal(as_tf32(np.float32([1 + 2.0**-11, 1 + 3 * 2.0**-11])),
                          np.float32([1, 1 + 2.0**-9]))
