"""What the page says of an architecture: refglow's shapes, parameters and words, counted work."""

import json
import math

import numpy as np
import pytest
from node import by_node, with_mistake

import refglow as rg
from refglow.bijectors.architecture import Architecture
from refglow.bijectors.glow_shapes import scale_shapes
from refglow.explorer.fitting import operations_of
from refglow.networks import (
    Conv2D,
    GlowDefaultExitNetwork,
    GlowDefaultNetwork,
    Sequential,
)
from refglow.training.model import num_parameters
from refglow.training.settings import Settings
from refglow.validation.layers import layers_towards_latent
from refglow.validation.random_models import randomize_weights

BUILT = [  # (H, W, C), blocks, steps, hidden, fractions
    ((8, 8, 1), 3, 2, 5, None), ((2, 2, 1), 1, 1, 1, None), ((4, 8, 3), 2, 3, 4, None),
    ((6, 2, 2), 1, 2, 3, (0.5,)), ((4, 4, 3), 2, 1, 7, (0.0, 0.0)),
    ((8, 4, 1), 2, 2, 2, (0.25, 1.0)),
    ((4, 4, 5), 2, 2, 6, (0.3, 0.3)), ((8, 16, 3), 3, 1, 4, (0.9, 0.2, 0.5)),
    ((16, 16, 1), 4, 1, 3, None), ((4, 12, 7), 2, 0, 4, (0.45, 0.99))]
DESCRIBED = [  # too large to build in a test
    ((32, 32, 3), 3, 32, 400, None), ((32, 32, 3), 3, 32, 512, None),
    ((256, 256, 3), 6, 32, 512, None), ((64, 96, 1), 5, 48, 256, (0.5, 0.25, 0.0, 0.75, 0.5))]
NAN, INF = math.nan, math.inf
IMPOSSIBLE = [
    ((9, 8, 3), 1, 1, 1, None), ((8, 6, 3), 2, 1, 1, None), ((12, 20, 3), 3, 1, 1, None),
    ((8, 8, 3), 4, 1, 1, None), ((7, 8, 3), 40, 1, 1, None),
    ((8, 8, 3), 65, 1, 1, None), ((8, 8, 3), 10**6, 1, 1, None), ((0, 8, 3), 1, 1, 1, None),
    ((8, -2, 3), 1, 1, 1, None), ((8, 8, 2.5), 1, 1, 1, None), ((NAN, 8, 3), 1, 1, 1, None),
    ((8, INF, 3), 1, 1, 1, None), ((8, 8, 3), 0, 1, 1, None), ((8, 8, 3), 1.5, 1, 1, None),
    ((8, 8, 3), NAN, 1, 1, None), ((8, 8, 3), INF, 1, 1, None),
    ((8, 8, 3), 2, -1, 1, None), ((8, 8, 3), 2, 0.25, 1, None),
    ((8, 8, 3), 2, 1, 0, None), ((8, 8, 3), 2, 1, -4, None), ((8, 8, 3), 2, 1, 2.5, None),
    ((8, 8, 3), 2, 1, 1, (0.5,)), ((8, 8, 3), 1, 1, 1, (0.5, 0)), ((8, 8, 3), 2, 1, 1, (1.0, 0.0)),
    ((8, 8, 3), 2, 1, 1, (0.5, 1.5)), ((8, 8, 3), 2, 1, 1, (-0.5, 0.0)),
    ((8, 8, 3), 2, 1, 1, (NAN, 0.0)), ((8, 8, 3), 2, 1, 1, (0.5, INF)),
    ((8, 8, 1), 2, 1, 1, (0.01, 0.0)), ((8, 8, 3), 2, 1, 1, (1e-7, 0.5)),
    ((8, 8, 3), 2, 1, 1, (0.5, 0.00012)), ((8, 8, 3), 2, 1, 1, (0.5, -0.0625)),
    ((8, 8, 3), 2, 1, 1, (1e22, 0.0)), ((8, 8, 3), 2, 1, 1, (0.123456789, -1e-05))]


def given(shape, blocks, steps, hidden, fractions, batch=1):
    def plain(value):
        return value if math.isfinite(value) else str(value)
    return {"h": plain(shape[0]), "w": plain(shape[1]), "c": plain(shape[2]),
            "blocks": plain(blocks), "steps": plain(steps), "hidden": plain(hidden), "batch": batch,
            "fractions": None if fractions is None else [plain(f) for f in fractions]}


def counted(architectures, **options):
    return json.loads(by_node("counts.mjs", given=json.dumps(architectures), **options))


# ---- what refglow's own numbers are ----------------------------------------------------------


class Counted(Sequential):
    """A network that counts what its convolutions do and give."""

    def __init__(self, network, counts):
        super().__init__(network.layers)
        self._counts = counts

    def __call__(self, x):
        for layer in self.layers.values():
            x = layer(x)
            if isinstance(layer, Conv2D):
                kh, kw, inputs, _ = layer.kernel.shape
                self._counts["flops"] += 2 * x.size * kh * kw * inputs
                self._counts["network"] += x.size
        return x


def instrumented(shape, blocks, steps, hidden, fractions):
    """(the Glow, {flops, network}, which grows when its networks are called)."""
    counts = {"flops": 0, "network": 0}
    glow = rg.bijectors.Glow(
        shape, blocks, steps, grab_after_block=fractions, seed=0, dtype=np.float64,
        coupling_bijector_fn=lambda s, **_: Counted(
            GlowDefaultNetwork(s, hidden, dtype=np.float64), counts),
        exit_bijector_fn=lambda s, output_chan, **_: Counted(
            GlowDefaultExitNetwork(s, output_chan, dtype=np.float64), counts))
    randomize_weights(glow, np.random.default_rng(1))
    return glow, counts


def measured(*architecture):
    """The work and the activations of one image, from the arrays that pass the layers."""
    glow, counts = instrumented(*architecture)
    x = np.random.default_rng(0).random((1, *architecture[0]))
    splits, work, activations, largest = glow.blockwise_splits, 0, 0, 0
    step = 0
    for layer in layers_towards_latent(glow):
        block = int(layer.name[5]) if layer.name.startswith("block") else 0
        active = x if layer.channels is None else x[..., :layer.channels]
        counts["network"] = 0
        y = layer.bijector.inverse(active)
        held = active.size + counts["network"]
        if layer.kind == "OneByOneConv":
            work += 2 * active.size * active.shape[-1]
        elif layer.kind == "ActivationNormalization":
            work += 2 * active.size
        elif layer.kind == "RealNVP":
            work += 2 * active[..., active.shape[-1] // 2:].size
        elif counts["network"]:  # an exit
            leave, grab, _ = splits[block]
            work += 2 * active[..., :grab].size
            held = active[..., :leave + grab].size + counts["network"]
        else:
            held = 0
        step = held if layer.kind == "ActivationNormalization" else step + held
        largest = max(largest, step if layer.kind == "RealNVP" else held)
        activations += held
        x = y if layer.channels is None else np.concatenate([y, x[..., layer.channels:]], -1)
    return work + counts["flops"], activations, largest


@pytest.mark.usefixtures("by_the_specification")
def test_shapes_parameters_work_and_memory_are_refglows():
    found = counted([given(*architecture, batch=3) for architecture in BUILT])
    for (shape, blocks, *rest), counts in zip(BUILT, found, strict=True):
        glow, _ = instrumented(shape, blocks, *rest)
        assert [[s["leave"], s["grab"], s["pass"]] for s in counts["stages"]] == [
            list(split) for split in glow.blockwise_splits][::-1]
        assert [(s["h"], s["w"], s["channels"] + s["pass"]) for s in counts["stages"]] == (
            scale_shapes(shape, blocks)[::-1])
        trained = {v.name for v in glow.trainable_variables}
        sizes = {name: array.size for name, array in glow.state_dict().items() if name in trained}
        assert counts["parameters"] == sum(sizes.values()) == num_parameters(glow)
        for stage in counts["stages"]:
            assert stage["parameters"]["total"] == sum(
                size for name, size in sizes.items() if name.startswith(f"{stage['name']}."))
        work, activations, largest = measured(shape, blocks, *rest)
        assert counts["flops"] == work
        assert counts["bytes"] == {"weights": 4 * counts["parameters"],
                                   "stored": 4 * 3 * activations,
                                   "reversible": 4 * 3 * (math.prod(shape) + largest)}


@pytest.mark.usefixtures("by_the_specification")
def test_the_work_that_decides_what_fits_is_that_of_all_convolutions():
    for shape, *architecture in BUILT:
        glow, counts = instrumented(shape, *architecture)
        x = np.random.default_rng(0).random((1, *shape))
        glow.inverse(x)
        networks = counts["flops"]
        matrices = sum(2 * stage.active_output.size * stage.active
                       for stage in rg.trace(glow, x, conditions=False) if stage.kind == "conv")
        assert operations_of(glow) == networks + matrices > 0


def test_parameters_of_large_models_are_refglows():
    found = counted([given(*architecture) for architecture in DESCRIBED])
    for (shape, blocks, steps, hidden, fractions), counts in zip(DESCRIBED, found, strict=True):
        described = Architecture(
            shape, blocks, steps, fractions, True, False, "glow", np.dtype(np.float32),
            {"class": "GlowDefaultNetwork", "num_hidden": hidden, "kernel_shape": 3},
            {"class": "GlowDefaultExitNetwork", "kernel_shape": 3})
        assert counts["parameters"] == sum(
            math.prod(size) for name, size, _ in described.state()
            if not name.endswith((".permutation", ".initialized")))


# ---- what is impossible ----------------------------------------------------------------------


def refusal(shape, blocks, steps, hidden, fractions):
    """refglow's sentence."""
    try:
        rg.bijectors.Glow(shape, blocks, steps, grab_after_block=fractions)
        Settings(num_hidden=hidden)
    except ValueError as error:
        return str(error)
    return None


def test_impossible_architectures_are_refused_in_refglows_words():
    found = counted([given(*architecture) for architecture in IMPOSSIBLE])
    for architecture, answer in zip(IMPOSSIBLE, found, strict=True):
        assert answer.get("error") == refusal(*architecture)
        assert answer["which"]


def test_what_is_too_large_or_no_number_is_refused():
    huge, vast, hidden, steps = counted([
        given((2**20, 2**20, 3), 1, 1, 1, None), given((2**14, 2**15, 3), 12, 2**40, 512, None),
        given((8, 8, 3), 2, 1, NAN, None), given((8, 8, 3), 2, 2**52, 64, None)])
    assert huge["error"].endswith("3298534883328 numbers; a model file, and this page, take at "
                                  "most 2147483647.")
    assert "the page counts up to" in vast["error"] and "the page counts" in steps["error"]
    assert hidden == {"error": "num_hidden must be a whole number, at least 1; got nan.",
                      "which": ["hidden"]}


@pytest.mark.parametrize(("name", "right", "wrong"), [
    ("counts.mjs", "const step = 2 * c + c * c +", "const step = c + c * c +"),
    ("counts.mjs", "taps * from * to + to)", "taps * from * to)"),
    ("counts.mjs", "2 * h * w * (c + c * c + mapped", "2 * h * w * (c + c + mapped"),
    ("counts.mjs", "h * w * (3 * c + 2 * hidden", "h * w * (2 * c + 2 * hidden"),
    ("architecture.mjs", "passed = 4 * (passed + grab)", "passed = 4 * passed + grab")])
def test_a_mistake_is_seen(name, right, wrong, tmp_path):
    modules = with_mistake(tmp_path, name, right, wrong)
    architectures = [given(*architecture, batch=3) for architecture in BUILT]
    assert counted(architectures, modules=modules) != counted(architectures)
