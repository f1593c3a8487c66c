"""A Glow in any dialect: TFP's is refglow's own, and each undoes itself with a right log-det."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest

from refglow import bijectors as tfb
from refglow.validation.compare import difference
from refglow.validation.dialects import FIELDS, Dialect, DialectGlow, Structure
from refglow.validation.dialects.actnorms import ACTNORMS, FROM_EVERY_BATCH
from refglow.validation.dialects.affines import AFFINES, LAYOUTS, SCALES, joined
from refglow.validation.dialects.known import KNOWN
from refglow.validation.dialects.latent_orders import LATENT_ORDERS
from refglow.validation.dialects.squeezes import SQUEEZES
from refglow.validation.layers import layers_towards_latent
from refglow.validation.live import random_glow
from refglow.validation.random_models import (
    random_architecture,
    random_images,
    randomize_weights,
)


@pytest.mark.parametrize("seed", range(12))
def test_tfps_dialect_is_refglows_glow(seed: int) -> None:
    rng = np.random.default_rng(seed)
    architecture = random_architecture(rng)
    glow = random_glow(architecture, rng, np.float64)
    x = random_images(rng, 3, architecture["output_shape"])
    there = DialectGlow.of(glow)
    z, ildj = glow.inverse_and_log_det(x)
    latents, total = there.inverse(x)
    assert difference(latents, z).relative < 1e-13
    np.testing.assert_allclose(total, ildj, rtol=1e-12, atol=1e-12)
    images, fldj = there.forward(z)
    assert difference(images, x).relative < 1e-9
    np.testing.assert_allclose(fldj, -ildj, rtol=1e-9, atol=1e-9)
    names = {layer.name for layer in layers_towards_latent(glow) if ".step" in layer.name}
    assert {name for name in there.layer_names() if ".step" in name} == names


def small(channels: int) -> tuple[tfb.Glow, Any]:
    rng = np.random.default_rng(4)
    glow = tfb.Glow((4, 4, channels), 1, 2, partial(tfb.GlowDefaultNetwork, num_hidden=4),
                    grab_after_block=(0.5,), seed=rng, dtype=np.float64)
    randomize_weights(glow, rng, 0.5)
    return glow, random_images(rng, 2, (4, 4, channels))


# Answers that concern values, and are undone: not what mistakes leave out on one way only.
# (the squared scale, whose log-det counts it once, is undone, but no flow.)
_NO_FLOW = {("actnorm", FROM_EVERY_BATCH), ("latents", "only the coarsest"),
            ("affine", "s^2 x + t"), ("exit_affine", "s^2 x + t")}
_VALUES = ("squeeze", "step_order", "steps", "actnorm", "factors", "matrix", "conditioning",
           "joined", "affine", "scale", "layout", "exit_half", "exit_affine", "exit_scale",
           "exit_layout", "activation", "kernel", "bias", "latents")
_CASES = [(name, answer) for name in _VALUES for answer in FIELDS[name].answers[1:]
          if (name, answer) not in _NO_FLOW]


@pytest.mark.parametrize(("name", "answer"), _CASES)
def test_every_answer_is_a_flow(name: str, answer: str) -> None:
    """forward undoes inverse, and the log-det is that of the Jacobian, which is not 0."""
    glow, x = small(1)
    there = DialectGlow.of(glow, Dialect(**{name: answer}))
    z, ildj = there.inverse(x)
    images, fldj = there.forward(z)
    assert difference(images, x).relative < 1e-8
    np.testing.assert_allclose(fldj, -ildj, rtol=1e-8, atol=1e-8)
    step = 1e-5 * np.eye(16).reshape(16, 4, 4, 1)
    jacobian = (there.inverse(x[:1] + step)[0] - there.inverse(x[:1] - step)[0]) / 2e-5
    np.testing.assert_allclose(np.linalg.slogdet(jacobian)[1], ildj[0], rtol=1e-5, atol=1e-5)
    assert ildj[0] != 0


def test_every_answer_differs_from_tfps() -> None:
    glow, x = small(2)
    z, _ = DialectGlow.of(glow).inverse(x)
    for name, answer in _CASES:
        other, _ = DialectGlow.of(glow, Dialect(**{name: answer})).inverse(x)
        assert difference(np.sort(other), np.sort(z)).relative > 1e-6 or name == "latents", (
            name, answer)


def test_the_first_answer_is_tfps() -> None:
    for field in dataclasses.fields(Dialect):
        assert FIELDS[field.name].answers[0] == field.default
        assert FIELDS[field.name].question
    assert KNOWN["tfp"].dialect == Dialect()


def test_a_printed_glow_has_no_weights_in_it() -> None:
    weights = {"block0.step0.actnorm.shift": np.full(1000, 0.123)}
    assert "0.123" not in repr(DialectGlow(Structure((2, 2, 1), ((4, 0, 0),), (1,)), Dialect(),
                                           weights))


def test_an_unknown_answer_is_refused() -> None:
    with pytest.raises(ValueError, match=r"A dialect's squeeze is one of 'c a b'.*; got 'c b'"):
        Dialect(squeeze="c b")


def test_squeezes_by_their_index_formulas() -> None:
    x = np.arange(4 * 6 * 3).reshape(1, 4, 6, 3)
    tiles = x.reshape(1, 2, 2, 3, 2, 3)  # h a w b c
    for order in ("c a b", "a b c", "b a c", "c b a", "a c b", "b c a"):
        axes = {"a": 2, "b": 4, "c": 5}
        expected = tiles.transpose(0, 1, 3, *(axes[letter] for letter in order.split()))
        np.testing.assert_array_equal(SQUEEZES[order].squeeze(x), expected.reshape(1, 2, 3, 12))
    for squeeze in SQUEEZES.values():
        np.testing.assert_array_equal(squeeze.unsqueeze(squeeze.squeeze(x)), x)


def test_layouts_are_joined_again() -> None:
    output = np.arange(12.0).reshape(1, 12)
    for name, split in LAYOUTS.items():
        np.testing.assert_array_equal(joined(name, *split(output)), output)


def test_scales_and_forms_by_differences() -> None:
    """log s is the logarithm of s; a form's log-det is its derivative's."""
    r = np.linspace(-2.2, 2.3, 7) + 0.01
    for name, scale in SCALES.items():
        np.testing.assert_allclose(scale.log(r), np.log(np.abs(scale.value(r))), rtol=1e-12,
                                   err_msg=name)
    x, t, s, h = r + 0.3, r * 0.2, np.exp(r / 3), 1e-6
    for name, form in AFFINES.items():
        slope = (form.to_latent(x + h, s, t) - form.to_latent(x - h, s, t)) / (2 * h)
        if name != "s^2 x + t":  # whose log-det counts the scale once
            np.testing.assert_allclose(np.log(slope), form.power * np.log(s), atol=1e-8)
        np.testing.assert_allclose(form.to_image(form.to_latent(x, s, t), s, t), x, atol=1e-12)
    for name, actnorm in ACTNORMS.items():
        slope = (actnorm.to_latent(x + h, t, s) - actnorm.to_latent(x - h, t, s)) / (2 * h)
        np.testing.assert_allclose(np.log(slope), actnorm.log_det(s), atol=1e-7, err_msg=name)
        np.testing.assert_allclose(actnorm.to_image(actnorm.to_latent(x, t, s), t, s), x,
                                   atol=1e-10)


def test_latents_in_every_order_hold_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    glow = random_glow({**random_architecture(rng), "output_shape": (8, 8, 2),
                        "num_glow_blocks": 2, "grab_after_block": (0.5, 0.5)}, rng, np.float64)
    there = DialectGlow.of(glow)
    x = random_images(rng, 2, (8, 8, 2))
    for order in LATENT_ORDERS:
        z, _ = there.in_dialect(Dialect(latents=order)).inverse(x)
        if order == "only the coarsest":
            assert z.shape == (2, 64)
            with pytest.raises(ValueError, match="only the coarsest scale was kept"):
                there.in_dialect(Dialect(latents=order)).forward(z)
        else:
            np.testing.assert_allclose(np.sort(z), np.sort(there.inverse(x)[0]), rtol=1e-12)
