"""The registry of named cases: every bijector, with random parameters and inputs in its domain.

Tests, golden files and live comparisons all walk this list; a new bijector costs one line. All
sizes in a case differ (batch, height, width, channels), so that no transposition goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array
from refglow.networks import Conv2D, Network, ReLU, Sequential
from refglow.structure import map_structure
from refglow.validation.random_models import randomize_weights
from refglow.variable import Variable

Rng = np.random.Generator
Build = Callable[[Rng, Any], Bijector]
Draw = Callable[[Rng, tuple[int, ...]], Array]


def normal(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Standard normal numbers."""
    return rng.standard_normal(shape)


def positive(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Numbers in [0.2, 3)."""
    return 0.2 + 2.8 * rng.random(shape)


def away_from_zero(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Numbers of either sign, 0.2 to 3 in size."""
    return np.asarray(positive(rng, shape) * rng.choice([-1.0, 1.0], size=shape))


@dataclass(frozen=True)
class Case:
    """One bijector to check.

    Attributes:
      name: unique; begins with the bijector's class.
      build: makes the bijector from a random generator, in a dtype.
      event_shape: (structure of) event shapes of x.
      draw: draws x, in the domain of `forward`.
      batch_shape: of x.
      tfp: whether TFP can compute it; if not, `why_no_tfp` says why.
      photographs: whether `inverse` is evaluated on real images, and `forward` on their latents.
      first_use: whether each property is evaluated as the first use of an ActNorm, which sets its
        parameters from that input.
      parameter_batch_shape: the batch shape that the parameters have of their own.
    """

    name: str
    build: Build
    event_shape: Any
    draw: Draw = normal
    batch_shape: tuple[int, ...] = (2,)
    why_no_tfp: str = ""
    photographs: bool = False
    parameter_batch_shape: tuple[int, ...] = ()
    first_use: bool = False

    @property
    def tfp(self) -> bool:
        """Whether TFP can compute this case."""
        return not self.why_no_tfp

    @property
    def bijector_name(self) -> str:
        """The class that the case is about."""
        return self.name.split(" ")[0]

    def make(self, seed: int, dtype: Any) -> tuple[Bijector, Any, Any]:
        """(bijector, x, event_ndims of x), from a seed; numbers are drawn in float64."""
        rng = np.random.default_rng([seed, sum(map(ord, self.name))])
        bijector = self.build(rng, dtype)
        template = bijector.forward_min_event_ndims
        x = map_structure(template, lambda shape: self.draw(
            rng, self.batch_shape + tuple(shape)).astype(dtype), self.event_shape)
        return bijector, x, map_structure(template, len, self.event_shape)


def variable(rng: Rng, dtype: Any, *shape: int, draw: Draw = normal, name: str = "v") -> Variable:
    """A random trainable parameter."""
    return Variable(draw(rng, shape), name, dtype=dtype)


def random_lu(rng: Rng, dtype: Any, *batch: int, channels: int) -> tfb.ScaleMatvecLU:
    """A ScaleMatvecLU with random factors, both signs on the diagonal, and a random permutation."""
    lower_upper = 0.4 * rng.standard_normal((*batch, channels, channels))
    diagonal = np.arange(channels)
    lower_upper[..., diagonal, diagonal] = away_from_zero(rng, (*batch, channels))
    return tfb.ScaleMatvecLU(Variable(lower_upper, "lower_upper", dtype=dtype),
                             Variable(rng.permutation(channels).astype(np.int32), "permutation",
                                      trainable=False))


def randomized(bijector: Bijector, rng: Rng) -> Bijector:
    """The bijector, its weights made random in every layer."""
    randomize_weights(bijector, rng)
    return bijector


def additive_network(input_shape: tuple[int, ...], output_chan: int | None = None,
                     num_hidden: int = 5, dtype: Any = np.float32,
                     seed: Any = None) -> Network:
    """A network with as many outputs as mapped channels: additive coupling."""
    channels = input_shape[-1]
    return Sequential({
        "conv1": Conv2D(channels, num_hidden, 3, seed=seed, dtype=dtype),
        "relu1": ReLU(),
        "conv2": Conv2D(num_hidden, output_chan or channels, 1, seed=seed, dtype=dtype)})


def small_network(input_shape: tuple[int, ...], num_hidden: int = 7, dtype: Any = np.float32,
                  seed: Any = None) -> Network:
    """The default coupling network with few hidden channels."""
    return tfb.GlowDefaultNetwork(input_shape, num_hidden=num_hidden, dtype=dtype, seed=seed)


def dense_coupling(rng: Rng, dtype: Any, inputs: int, outputs: int,
                   shift_only: bool = False) -> Any:
    """A `shift_and_log_scale_fn` with random weights, its layers already built."""
    network = tfb.real_nvp_default_template([6], shift_only=shift_only, seed=rng)
    network.build(inputs, outputs, dtype)
    return network


def _real_nvp(channels: int, masked: int, shift_only: bool = False, **mask: Any) -> Build:
    def build(rng: Rng, dtype: Any) -> Bijector:
        network = dense_coupling(rng, dtype, masked, channels - masked, shift_only)
        return randomized(tfb.RealNVP(shift_and_log_scale_fn=network, **mask), rng)
    return build


def _glow(**arguments: Any) -> Build:
    def build(rng: Rng, dtype: Any) -> Bijector:
        defaults: dict[str, Any] = {"coupling_bijector_fn": small_network}
        glow = tfb.Glow(**(defaults | arguments), seed=rng, dtype=dtype)
        randomize_weights(glow, rng, gain=0.5)
        return glow
    return build


def _exit(leave: int, grab: int, passed: int, network_fn: Any = None) -> Build:
    def build(rng: Rng, dtype: Any) -> Bijector:
        return randomized(tfb.ExitBijector((2, 3, leave + grab + passed), (leave, grab, passed),
                                           network_fn, seed=rng, dtype=dtype), rng)
    return build


def _block(network_fn: Any = small_network, steps: int = 2, use_actnorm: bool = True) -> Build:
    def build(rng: Rng, dtype: Any) -> Bijector:
        return randomized(tfb.GlowBlock((2, 3, 4), steps, network_fn, use_actnorm, seed=rng,
                                        dtype=dtype), rng)
    return build


def _actnorm(rng: Rng, dtype: Any) -> Bijector:
    bijector = tfb.ActivationNormalization(5, dtype=dtype)
    bijector.mark_initialized()
    return randomized(bijector, rng)


def _affine(kind: type[tfb.SigmoidAffine] | type[tfb.ExpAffine]) -> Build:
    return lambda rng, dtype: kind(variable(rng, dtype, 3, 4), variable(rng, dtype, 3, 4))


_TFP_EXIT = "TFP cuts the exit network's output at the wrong channel (erratum exit-slice)"
_TFP_ALL = "TFP refuses to let all channels exit (erratum exit-all)"

CASES: tuple[Case, ...] = (
    Case("Identity", lambda rng, dtype: tfb.Identity(), (3, 4)),
    Case("Shift", lambda rng, dtype: tfb.Shift(variable(rng, dtype, 4)), (3, 4)),
    Case("Shift by a number", lambda rng, dtype: tfb.Shift(0.7), (3,)),
    Case("Scale", lambda rng, dtype: tfb.Scale(variable(rng, dtype, 4, draw=away_from_zero)),
         (3, 4)),
    Case("Scale by a number", lambda rng, dtype: tfb.Scale(-1.7), (3, 4)),
    Case("Scale by log_scale", lambda rng, dtype: tfb.Scale(log_scale=variable(rng, dtype, 4)),
         (3, 4)),
    Case("Scale by a log_scale number", lambda rng, dtype: tfb.Scale(log_scale=0.6), (3, 4)),
    Case("Exp", lambda rng, dtype: tfb.Exp(), (3, 4)),
    Case("Log", lambda rng, dtype: tfb.Log(), (3, 4), draw=positive),
    Case("Reciprocal", lambda rng, dtype: tfb.Reciprocal(), (3, 4), draw=away_from_zero),
    Case("Sigmoid", lambda rng, dtype: tfb.Sigmoid(), (3, 4)),
    Case("Sigmoid low high", lambda rng, dtype: tfb.Sigmoid(
        Variable(np.array([-1.5, 0.25, 2.0, 3.0]), dtype=dtype),
        Variable(np.array([0.5, 0.75, 7.0, 3.5]), dtype=dtype)), (3, 4)),
    Case("Sigmoid between numbers", lambda rng, dtype: tfb.Sigmoid(-1.0, 2.5), (3, 4)),
    Case("Softplus", lambda rng, dtype: tfb.Softplus(), (3, 4)),
    Case("Softplus by numbers", lambda rng, dtype: tfb.Softplus(-0.7, 0.3), (3, 4)),
    Case("Softplus hinge_softness low", lambda rng, dtype: tfb.Softplus(
        variable(rng, dtype, 4, draw=positive), variable(rng, dtype, 4)), (3, 4)),
    Case("Tanh", lambda rng, dtype: tfb.Tanh(), (3, 4)),
    Case("Pad", lambda rng, dtype: tfb.Pad(((1, 2), (0, 3)), constant_values=0.5), (3, 4)),
    Case("Reshape", lambda rng, dtype: tfb.Reshape((6, -1), (3, 4)), (3, 4)),
    Case("Transpose", lambda rng, dtype: tfb.Transpose((2, 0, 1)), (3, 4, 5)),
    Case("Permute", lambda rng, dtype: tfb.Permute(
        Variable(rng.permutation(4), trainable=False), axis=-2), (3, 4, 5)),
    Case("Split", lambda rng, dtype: tfb.Split([2, 1, 4]), (3, 7)),
    Case("JointMap", lambda rng, dtype: tfb.JointMap(
        [tfb.Exp(), tfb.Scale(variable(rng, dtype, 4, draw=positive))]), [(3,), (4,)]),
    Case("Invert", lambda rng, dtype: tfb.Invert(tfb.Softplus()), (3, 4), draw=positive),
    Case("Chain", lambda rng, dtype: tfb.Chain(
        [tfb.Sigmoid(), tfb.Shift(variable(rng, dtype, 4)), tfb.Tanh(), tfb.Scale(0.5)]),
         (3, 4)),
    Case("Blockwise", lambda rng, dtype: tfb.Blockwise(
        [tfb.Exp(), random_lu(rng, dtype, channels=3), tfb.Tanh()], [2, 3, 1]), (5, 6)),
    Case("ScaleMatvecLU", lambda rng, dtype: random_lu(rng, dtype, channels=5), (3, 4, 5)),
    Case("ScaleMatvecLU batched", lambda rng, dtype: random_lu(rng, dtype, 2, channels=3), (3,),
         parameter_batch_shape=(2,)),
    Case("OneByOneConv", lambda rng, dtype: randomized(
        tfb.OneByOneConv(6, seed=rng, dtype=dtype), rng), (2, 3, 6)),
    Case("ActivationNormalization", _actnorm, (3, 4, 5)),
    Case("RealNVP", _real_nvp(5, 2, num_masked=2), (3, 5)),
    Case("RealNVP last masked", _real_nvp(5, 3, num_masked=-3), (5,)),
    Case("RealNVP fraction", _real_nvp(7, 3, fraction_masked=0.4), (7,)),
    Case("RealNVP last fraction", _real_nvp(7, 4, fraction_masked=-0.6), (7,)),
    Case("RealNVP additive", _real_nvp(5, 2, shift_only=True, num_masked=2,
                                       is_constant_jacobian=True), (5,)),
    Case("SigmoidAffine", _affine(tfb.SigmoidAffine), (3, 4)),
    Case("ExpAffine", _affine(tfb.ExpAffine), (3, 4)),
    Case("Expand", lambda rng, dtype: tfb.Expand((2, 3, 8)), (2, 3, 8)),
    Case("Expand by 3", lambda rng, dtype: tfb.Expand((2, 1, 18), block_size=3), (2, 1, 18)),
    Case("Squeeze", lambda rng, dtype: tfb.Squeeze((4, 6, 3)), (4, 6, 3)),
    Case("GlowBlock", _block(), (2, 3, 4)),
    Case("GlowBlock additive", _block(additive_network, use_actnorm=False), (2, 3, 4)),
    Case("ExitBijector", _exit(3, 3, 2), (2, 3, 8)),
    Case("ExitBijector additive", _exit(3, 3, 2, additive_network), (2, 3, 8)),
    Case("ExitBijector none", _exit(4, 0, 2), (2, 3, 6)),
    Case("ExitBijector all", _exit(0, 4, 2), (2, 3, 6)),
    Case("ExitBijector small", _exit(3, 1, 2), (2, 3, 6), why_no_tfp=_TFP_EXIT),
    Case("ExitBijector large additive", _exit(1, 3, 2, additive_network), (2, 3, 6),
         why_no_tfp=_TFP_EXIT),
    Case("Glow", _glow(output_shape=(4, 8, 2), num_glow_blocks=2, num_steps_per_block=2), (64,)),
    Case("Glow additive without ActNorm", _glow(
        output_shape=(4, 2, 3), num_glow_blocks=1, num_steps_per_block=2, use_actnorm=False,
        coupling_bijector_fn=additive_network, exit_bijector_fn=additive_network), (24,)),
    Case("Glow exits", _glow(output_shape=(8, 8, 1), num_glow_blocks=3, num_steps_per_block=1,
                             grab_after_block=(0.5, 0.0, 0.5)), (64,)),
    Case("Glow any fraction", _glow(output_shape=(4, 4, 2), num_glow_blocks=2,
                                    num_steps_per_block=1, grab_after_block=(0.3, 0.8)), (32,),
         why_no_tfp=_TFP_EXIT),
    Case("Glow all exit", _glow(output_shape=(4, 4, 1), num_glow_blocks=2, num_steps_per_block=1,
                                grab_after_block=(0.75, 1.0)), (16,),
         why_no_tfp=_TFP_ALL),
)

NON_INJECTIVE: tuple[Case, ...] = (
    Case("AbsoluteValue", lambda rng, dtype: tfb.AbsoluteValue(), (3, 4)),
)


def _nearly_constant_channel(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Data whose last channel varies by so little that the epsilon of ActNorm shows."""
    data = 3 + 2 * rng.standard_normal(shape)
    data[..., -1] = 40 * np.finfo(np.float32).eps * rng.standard_normal(shape[:-1])
    return data


FIRST_USE: tuple[Case, ...] = (
    Case("ActivationNormalization first use",
         lambda rng, dtype: tfb.ActivationNormalization(5, dtype=dtype), (3, 4, 5),
         draw=_nearly_constant_channel, batch_shape=(7,), first_use=True),
)

PHOTOGRAPHS: tuple[Case, ...] = (
    Case("Glow 16x16x3", _glow(
        output_shape=(16, 16, 3), num_glow_blocks=2, num_steps_per_block=2), (768,),
        photographs=True),
    Case("Glow 32x32x3", _glow(
        output_shape=(32, 32, 3), num_glow_blocks=3, num_steps_per_block=4), (3072,),
        photographs=True),
    Case("Glow 32x16x3 additive", _glow(
        output_shape=(32, 16, 3), num_glow_blocks=2, num_steps_per_block=2,
        coupling_bijector_fn=additive_network, exit_bijector_fn=additive_network), (1536,),
        photographs=True),
)

ALL_CASES: tuple[Case, ...] = CASES + NON_INJECTIVE + FIRST_USE + PHOTOGRAPHS

