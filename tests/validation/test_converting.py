"""Conversions between dialects: what is called exact is, and the rest has its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from refglow.backend import use_backend
from refglow.bijectors.glow_shapes import blockwise_splits_of
from refglow.validation.compare import difference
from refglow.validation.dialects import (
    arranging,
    converting_networks,
    network_affines,
    paddings,
    plain_networks,
    route,
    unit_networks,
)
from refglow.validation.dialects.as_refglow import to_refglow
from refglow.validation.dialects.conversion import (
    NOT_REPRESENTABLE,
    RE_INDEXED,
    REPARAMETRISED,
)
from refglow.validation.dialects.converting import Converted, converted
from refglow.validation.dialects.converting_channels import CHANNEL_RULES, RESULT_RULES
from refglow.validation.dialects.converting_networks import NETWORK_RULES
from refglow.validation.dialects.dialect import FIELDS, Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.known import KNOWN, TFP
from refglow.validation.dialects.mixings import Mixing
from refglow.validation.dialects.random_dialects import random_dialect_glow
from refglow.validation.dialects.structure import Structure
from refglow.validation.tolerances import AGAINST_TFP_FLOAT64

DIALECTS = {name: known.dialect for name, known in KNOWN.items() if name != "y0ast"}
WEIGHTS = [name for name in FIELDS if name in NETWORK_RULES | CHANNEL_RULES]
SCALES_DIFFER = {"nflows", "freia-glow", "freia-all-in-one"}


def structure(shape: tuple[int, int, int] = (4, 8, 1), exits: Any = None, steps: int = 1,
              blocks: int = 2) -> Structure:
    return Structure(shape, blockwise_splits_of(shape, blocks, exits), (steps,) * blocks)


WITH_EXITS = structure()


def glow_of(dialect: Dialect, shape: Structure = WITH_EXITS, additive: bool = False,
            seed: int = 0, dtype: Any = np.float64) -> DialectGlow:
    return random_dialect_glow(dialect, shape, np.random.default_rng(seed), additive, 3, dtype)


def error_of(there: DialectGlow, here: DialectGlow) -> float:
    """The largest relative difference in a scale of the latents, or in a log-det."""
    x = np.random.default_rng(1).random((2, *there.structure.image_shape)) - 0.5
    results = list(there.towards_latent(x)), list(here.towards_latent(x))
    scales = there.scales(results[0]), here.scales(results[1])
    totals = (sum(r.log_det for r in result) for result in results)
    return max(*(difference(b, a).relative for a, b in zip(*scales, strict=True)),
               difference(*totals).relative)


def check(there: DialectGlow, target: Dialect) -> Converted:
    """Convert; what is called exact must be, and what is not must say why."""
    result = converted(there, target)
    differing = [name for name, _, _ in there.dialect.differences(target)]
    assert [conversion.field for conversion in result.conversions] == differing
    assert all(conversion.reason for conversion in result.conversions)
    assert (result.glow is None) == bool(result.obstacles)
    if result.glow is not None:
        assert result.glow.dialect == target
        assert error_of(there, result.glow) <= AGAINST_TFP_FLOAT64
    return result


def obstacles(there: DialectGlow, target: Dialect) -> set[str]:
    return {conversion.field for conversion in check(there, target).obstacles}


@pytest.mark.parametrize("source", DIALECTS)
@pytest.mark.parametrize("additive", [False, True], ids=["affine", "additive"])
def test_every_known_dialect_into_every_other(source: str, additive: bool) -> None:
    glow = glow_of(DIALECTS[source], additive=additive)
    for target, dialect in DIALECTS.items():
        expected = set()
        gaussian = {"openai", "rosinality", "chaiyujin"}
        if not additive and source != target and {source, target} & SCALES_DIFFER:
            expected.add("scale")
        if source != target and (source == "tfp" or (
                source in gaussian and target not in gaussian | {"tfp"})):
            expected.add("exit_affine")
        assert obstacles(glow, dialect) == expected, target


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("additive", [False, True], ids=["affine", "additive"])
def test_without_exits_only_scales_are_in_the_way(name: str, additive: bool) -> None:
    expected = {"scale"} if name in SCALES_DIFFER and not additive else set()
    shape = structure((2, 4, 3), exits=(0,), steps=2, blocks=1)
    assert obstacles(glow_of(TFP, shape, additive), DIALECTS[name]) == expected
    assert obstacles(glow_of(DIALECTS[name], shape, additive), TFP) == expected


SQUARES = {"reshape NHWC", "reshape NCHW", "quadrants"}
UNREAD = {"s x + t / 10", "s x + (t + 2)", "s^2 x + t"}
CURVED = {"residual middle layer", "none after the second", "elu", "gelu", "relu also at the end",
          "silu", "softplus", "tanh"}
SIGMOIDS = {"sigmoid(r)", "sigmoid(r + 1)", "sigmoid(r - 2)", "sigmoid(2 r)", "sigmoid(r + 2)"}
EXPONENTIALS = {"exp(r)", "exp(r + 2)"}
SCALES = set(FIELDS["scale"].answers)
WITHOUT_SCALE_OR_SHIFT = {"x + t", "x - t", "s x", "left out"}
DIVIDING = {"(x - t) / s", "(x + t) / s", "x / s + t", "x / s - t"}
BATCH = "this batch's statistics"
# What TFP's dialect cannot be in with random weights, and what cannot be in TFP's. (A question that
# is not here has no such answers.)
NEVER: dict[str, tuple[set[str], set[str]]] = {
    "images": (set(FIELDS["images"].answers),) * 2,
    "joined": ({"exchanged"},) * 2,
    "sides": ({"both, by one network"},) * 2,
    "steps": ({"all of them step 0's", "last one left out"},) * 2,
    "squeeze": (SQUARES, SQUARES),
    "actnorm": ({"x exp(v)", "left out", BATCH}, {BATCH}),
    "factors": ({"L U", "absolute diagonal", "U's diagonal 1", "P", "U's diagonal exp(u)",
                 "U's diagonal softplus(u) + 0.001"}, set()),
    "matrix": ({"left out"}, set()),
    "affine": (DIVIDING | WITHOUT_SCALE_OR_SHIFT | UNREAD, DIVIDING | UNREAD),
    "exit_affine": ({"(x - t) / s", "(x + t) / s", "s (x + t)", "s (x - t)"}
                    | WITHOUT_SCALE_OR_SHIFT | UNREAD, UNREAD),
    "scale": (SCALES - SIGMOIDS, SCALES - SIGMOIDS),
    "exit_scale": (SCALES - EXPONENTIALS, SCALES - EXPONENTIALS),
    "padding": ({"edge", "reflect", "wrap"},) * 2,
    "activation": (CURVED | {"none"}, CURVED),
    "bias": ({"left out", "the first for all"}, set()),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_every_answer_to_a_question(name: str) -> None:
    into, out_of = NEVER.get(name, (set(), set()))
    shape = WITH_EXITS if name.startswith("exit") else structure((4, 4, 1), (0,), blocks=1)
    glow = glow_of(TFP, shape)
    for answer in FIELDS[name].answers[1:]:
        other = TFP.but(**{name: answer})
        assert obstacles(glow, other) == ({name} if answer in into else set()), answer
        back = obstacles(glow_of(other, shape), TFP)
        assert back == ({name} if answer in out_of else set()), answer


def test_random_dialects() -> None:
    """Answers together: whatever is called exact is."""
    rng = np.random.default_rng(2)
    together = [name for name in WEIGHTS if name not in (
        "scale", "activation", "padding", "images", "joined", "steps")]
    exact = 0
    for seed in range(50):
        dialects = [TFP.but(**{name: rng.choice(FIELDS[name].answers) for name in together
                               if rng.random() < 0.3}) for _ in range(2)]
        shape = structure((4, 4, 1), exits=(0.5, 0.5) if seed % 3 else (0, 0), steps=seed % 2 + 1)
        source, target = dialects
        exact += not check(glow_of(source, shape, bool(seed % 2), seed), target).obstacles
    assert exact > 5


@pytest.mark.parametrize("name", sorted(set(DIALECTS) - SCALES_DIFFER))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_as_one_of_refglows(name: str, dtype: Any) -> None:
    there = glow_of(DIALECTS[name], structure((4, 8, 1), (0.5, 0.5)), dtype=dtype)
    here = check(there, TFP).glow if dtype == np.float64 else converted(there, TFP).glow
    assert here is not None
    assert {value.dtype for value in here.arrays.values()} <= {np.dtype(dtype), np.dtype(np.int32),
                                                               np.dtype(np.int64)}
    model = to_refglow(here)
    x = (np.random.default_rng(1).random((2, 4, 8, 1)) - 0.5).astype(dtype)
    with use_backend("spec"):
        z, ildj = model.inverse_and_log_det(x)
    results = list(there.towards_latent(x))
    limit = AGAINST_TFP_FLOAT64 * np.finfo(dtype).eps / np.finfo(np.float64).eps
    for part, scale in zip(model.split_latents(z), there.scales(results), strict=True):
        assert difference(part, scale).relative <= limit
    assert difference(ildj, sum(r.log_det for r in results)).relative <= limit


def test_latents_are_in_the_targets_order_and_lead_back() -> None:
    there = glow_of(DIALECTS["rosinality"])
    here = check(there, TFP).glow
    assert here is not None
    x = np.random.default_rng(1).random((2, 4, 8, 1)) - 0.5
    z, ildj = here.inverse(x)
    expected = here.latents(there.scales(list(there.towards_latent(x))))
    assert difference(z, expected).relative <= AGAINST_TFP_FLOAT64
    image, fldj = here.forward(z)
    assert difference(image, x).relative <= AGAINST_TFP_FLOAT64
    assert difference(fldj, -ildj).relative <= AGAINST_TFP_FLOAT64


def test_what_concerns_no_weights_leaves_them_as_they_are() -> None:
    glow = glow_of(TFP)
    answers = {name: FIELDS[name].answers[1] for name in RESULT_RULES}
    result = converted(glow, TFP.but(**answers))
    assert result.glow is not None
    assert result.glow.arrays is glow.arrays
    assert {conversion.label for conversion in result.conversions} == {RE_INDEXED}


def test_labels() -> None:
    full = TFP.but(factors="full matrix")
    moved = converted(glow_of(full), full.but(squeeze="a b c"))
    assert [conversion.label for conversion in moved.conversions] == [RE_INDEXED]
    assert moved.glow is not None
    assert moved.glow.structure == WITH_EXITS
    anew = converted(glow_of(TFP), TFP.but(conditioning="high half"))
    assert [conversion.label for conversion in anew.conversions] == [REPARAMETRISED]
    assert "one step was added in every block" in anew.conversions[0].reason
    gaussian = check(glow_of(TFP), TFP.but(exit_affine="(x - t) / s"))
    assert gaussian.conversions[0].label == NOT_REPRESENTABLE
    assert "multiplied by the scale" in gaussian.conversions[0].reason


def test_exits_whose_scale_is_constant_become_gaussians() -> None:
    glow = glow_of(TFP)
    arrays = dict(glow.arrays)
    for name in [name for name in arrays if name.endswith("exit.conv1.kernel")]:
        arrays[name] = arrays[name].copy()
        arrays[name][..., :arrays[name].shape[-1] // 2] = 0
    assert obstacles(replace(glow, arrays=arrays), DIALECTS["openai"]) == set()


def test_biases_of_1x1_convolutions_and_layers_that_are_not_there() -> None:
    rng = np.random.default_rng(3)
    nflows = DIALECTS["nflows"].but(scale="sigmoid(r + 2)")
    glow = glow_of(nflows, structure((4, 4, 1), steps=2))
    biases = {name.replace("lower_upper", "bias"): rng.standard_normal(len(value))
              for name, value in glow.arrays.items() if name.endswith("lower_upper")}
    with_biases = replace(glow, arrays={**glow.arrays, **biases})
    bare = replace(glow, arrays={name: value for name, value in glow.arrays.items()
                                 if ".actnorm." not in name and ".conv." not in name})
    for there in (with_biases, bare):
        result = check(there, TFP).glow
        assert result is not None
        to_refglow(result)


def test_unequal_numbers_of_steps() -> None:
    shape = replace(structure((4, 4, 1)), steps=(1, 3))
    result = check(glow_of(TFP, shape), TFP.but(conditioning="odd channels", steps="reversed"))
    assert result.glow is not None
    assert result.glow.structure.steps == (2, 4)
    result = check(glow_of(TFP.but(blocks="reversed", steps="reversed"), shape), TFP)
    assert result.glow is not None
    with pytest.raises(ValueError, match="one number of steps; these have 1, 3"):
        to_refglow(result.glow)


def test_to_refglow_takes_tfps_dialect() -> None:
    with pytest.raises(ValueError, match="affine is 's x - t'"):
        to_refglow(glow_of(TFP.but(affine="s x - t")))


def test_actnorm_of_every_batch_is_no_map_of_pixels() -> None:
    if BATCH not in FIELDS["actnorm"].answers:
        pytest.skip("no dialect sets ActNorm from every batch")
    glow = glow_of(TFP.but(actnorm=BATCH))
    assert {c.field for c in converted(glow, TFP.but(conditioning="high half")).obstacles} == {
        "actnorm", "conditioning"}


def test_mistakes_that_both_have_are_not_passed_over() -> None:
    """What a route does not have is in the way of every other change of weights too."""
    for name, answer in (("joined", "exchanged"), ("steps", "last one left out"),
                         ("activation", "residual middle layer"), ("affine", "s^2 x + t")):
        if answer in FIELDS[name].answers:
            both = TFP.but(**{name: answer})
            glow = glow_of(both, structure(steps=2))
            assert obstacles(glow, both.but(conditioning="high half")) == {"conditioning"}
            assert obstacles(glow, both.but(latents="finest first NCHW")) == set()


def _without(role: str) -> Callable[..., Any]:
    def taken(self: Mixing, places: Any) -> Mixing:
        return replace(self, matrix=self.matrix[places])

    def on(self: Mixing, places: Any) -> Mixing:
        return replace(self, matrix=self.matrix[:, np.argsort(places)])
    return {"taken": taken, "on": on}[role]


# (where, what, the mistake, source, target): a mistake in each rule
PLANTS: list[tuple[Any, str, Callable[..., Any], dict[str, str], dict[str, str]]] = [
    (Mixing, "on", _without("on"), {}, {"squeeze": "a b c"}),
    (Mixing, "on", lambda self, places: replace(
        self, matrix=self.matrix[:, places], shift=self.shift[places],
        log_scale=self.log_scale[places]), {}, {"squeeze": "a b c"}),
    (Mixing, "taken", lambda self, places: self, {}, {"conditioning": "even channels"}),
    (route, "squeezed_from", lambda order, channels: np.arange(channels), {"squeeze": "a b c"}, {}),
    (arranging, "_at_exit", lambda block, dialect: np.arange(block.channels), {},
     {"exit_half": "low exits"}),
    (arranging, "_are_sides", lambda block, k, dialect: True, {}, {"sides": "both"}),
    (arranging, "unit_exit", lambda sees, maps, dialect, dtype: {"conv1": {
        "kernel": np.zeros((3, 3, sees, 2 * maps)), "bias": np.zeros(2 * maps)}},
     {"exit_affine": "left out"}, {}),
    (arranging, "ends_of", lambda order: (("actnorm", "conv"), ()),
     {}, {"step_order": "coupling actnorm conv"}),
    (unit_networks, "unit_raw", lambda scale, count, network: np.full(count, 0.1), {},
     {"conditioning": "high half"}),
    (network_affines, "outputs_plus", lambda network, amount, dialect: network, {},
     {"scale": "sigmoid(r)"}),
    (network_affines, "reciprocal_scale", lambda name: (-1.0, 0.0),
     {"exit_affine": "s (x - t)"}, {"exit_affine": "(x - t) / s"}),
    (network_affines, "same_scale", lambda there, here: (1.0, 0.0), {"scale": "sigmoid(2 r)"}, {}),
    (network_affines, "outputs_times", lambda network, factor, dialect: network,
     {"affine": "s x - t"}, {}),
    (network_affines, "joined", lambda layout, r, t: np.concatenate([r, t]), {},
     {"layout": "interleaved t, r"}),
    (converting_networks, "_only_scale", lambda network, reading: network,
     {"affine": "s (x - t)"}, {}),
    (converting_networks, "_only_shift", lambda network, reading: network,
     {"exit_affine": "(x - t) / s"}, {}),
    (plain_networks, "_scaled", lambda layer, factor: layer, {"gain": "exp(3 gain)"}, {}),
    (plain_networks, "_folded", lambda layer: {role: layer[role] for role in ("kernel", "bias")},
     {"hidden_norm": "actnorm"}, {}),
    (paddings, "_outside", lambda kernel, padding: np.zeros_like(kernel[:, :, 0]), {},
     {"padding": "ones"}),
    (paddings, "_seeing_constant", lambda layer, wanted, first, *_: layer | {
        "kernel": np.pad(layer["kernel"], [(0, 0), (0, 0), (
            0, 1 + first * layer["kernel"].shape[2]), (0, 0)])}, {"padding": "ones, last"}, {}),
    (converting_networks, "with_activation", lambda network, *_: network,
     {"activation": "leaky relu 0.2"}, {}),
]


@pytest.mark.parametrize("plant", PLANTS, ids=[f"{plant[1]}-{k}" for k, plant in enumerate(PLANTS)])
def test_a_mistake_in_a_rule_is_found(plant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name, faulty, there, here = plant
    glow, target = glow_of(TFP.but(**there), structure((4, 4, 1), steps=2)), TFP.but(**here)
    assert not obstacles(glow, target)
    monkeypatch.setattr(module, name, faulty)
    with pytest.raises((AssertionError, IndexError, KeyError)):
        assert not obstacles(glow, target)
