"""What a vector can ask for: operations by name, with their formulas and arguments.

`x` is what `forward` takes, `y` what it gives; images are [..., H, W, C]; "in every pixel" means
for each vector of C channels. Log-dets are in nats, summed over the event, one for each example.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow import bijectors as tfb
from refglow import distributions as tfd
from refglow.bijectors import activation_normalization
from refglow.dtypes import Array
from refglow.elementary import constant, log
from refglow.module import Module
from refglow.networks import Conv2D, Dense, Network, ReLU, Sequential
from refglow.variable import Variable

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """One kind of map.

    Attributes:
      formula: what it computes, for a reader in any language.
      build: (arguments, dtype) -> a bijector, network or distribution of refglow, its parameters of
        the right shapes; or a function of the input that gives a dict of results.
    """

    formula: str
    build: Callable[[Arguments, Any], Any]

    @property
    def by_element(self) -> bool:
        """Whether it maps numbers one by one, or moves them: each is known to all its digits."""
        return any(self is OPERATIONS[name] for name in _BY_ELEMENT)

    @property
    def is_density(self) -> bool:
        """Whether its values are densities, added up over the numbers of an example."""
        return any(self is OPERATIONS[name] for name in _DENSITIES)


def _zeros(arguments: Arguments, dtype: Any, name: str) -> Variable:
    return Variable(np.zeros(arguments["parameter_shape"]), name, dtype=dtype)


def _parametrized(kind: Any, *names: str) -> Callable[[Arguments, Any], Any]:
    return lambda arguments, dtype: kind(*(_zeros(arguments, dtype, name) for name in names))


def _plain(kind: Any) -> Callable[[Arguments, Any], Any]:
    return lambda arguments, dtype: kind(**arguments)


def _scale_matvec_lu(arguments: Arguments, dtype: Any) -> Any:
    channels = arguments["channels"]
    return tfb.ScaleMatvecLU(
        Variable(np.eye(channels), "lower_upper", dtype=dtype),
        Variable(np.arange(channels, dtype=np.int32), "permutation", trainable=False))


def _actnorm(arguments: Arguments, dtype: Any) -> Any:
    bijector = tfb.ActivationNormalization(arguments["channels"], dtype=dtype)
    bijector.mark_initialized()
    return bijector


def _coupling_network(arguments: Arguments) -> Callable[..., Network]:
    """(input shape) -> the network that `arguments` ask for."""
    if arguments.get("network") == "additive":
        return lambda input_shape, output_chan=None, dtype=None, seed=None: _additive_network(
            input_shape, output_chan, arguments["num_hidden"], dtype)
    return lambda input_shape, dtype=None, seed=None: tfb.GlowDefaultNetwork(
        input_shape, arguments["num_hidden"], arguments.get("kernel_shape", 3), dtype)


def _additive_network(input_shape: Any, output_chan: int | None, num_hidden: int,
                      dtype: Any) -> Network:
    channels = input_shape[-1]
    return Sequential({"conv1": Conv2D(channels, num_hidden, 3, dtype=dtype), "relu1": ReLU(),
                       "conv2": Conv2D(num_hidden, output_chan or channels, 1, dtype=dtype)})


def _exit_network(arguments: Arguments) -> Any:
    return _coupling_network(arguments) if arguments.get("network") == "additive" else None


def _real_nvp(arguments: Arguments, dtype: Any) -> Any:
    given = dict(arguments)
    channels, hidden = given.pop("channels"), given.pop("hidden_layers")
    shift_only = given.get("is_constant_jacobian", False)
    masked = given["num_masked"]
    network = tfb.real_nvp_default_template(hidden, shift_only=shift_only, seed=0)
    network.build(abs(masked), channels - abs(masked), dtype)
    return tfb.RealNVP(shift_and_log_scale_fn=network, **given)


def _glow_block(arguments: Arguments, dtype: Any) -> Any:
    return tfb.GlowBlock(tuple(arguments["input_shape"]), arguments["num_steps"],
                         _coupling_network(arguments), arguments.get("use_actnorm", True), seed=0,
                         dtype=dtype)


def _exit(arguments: Arguments, dtype: Any) -> Any:
    return tfb.ExitBijector(tuple(arguments["input_shape"]), tuple(arguments["split"]),
                            _exit_network(arguments), seed=0, dtype=dtype)


def _glow(arguments: Arguments, dtype: Any) -> Any:
    grab = arguments.get("grab_after_block")
    return tfb.Glow(
        tuple(arguments["output_shape"]), arguments["num_glow_blocks"],
        arguments["num_steps_per_block"], _coupling_network(arguments),
        _exit_network(arguments) or tfb.GlowDefaultExitNetwork,
        None if grab is None else tuple(grab), arguments.get("use_actnorm", True), seed=0,
        dtype=dtype)


def _glow_density(arguments: Arguments, dtype: Any) -> Any:
    glow = _glow(arguments, dtype)
    size = int(np.prod(arguments["output_shape"]))
    return tfd.TransformedDistribution(_standard_normal(size, dtype), glow)


def _standard_normal(size: int, dtype: Any) -> Any:
    # Variables that do not train: their zeros and ones become balls with the other parameters.
    loc = Variable(np.zeros(()), "loc", dtype=dtype, trainable=False)
    scale = Variable(np.ones(()), "scale", dtype=dtype, trainable=False)
    return tfd.Sample(tfd.Normal(loc, scale), [size])


def _normal(arguments: Arguments, dtype: Any) -> Any:
    return tfd.Normal(_zeros(arguments, dtype, "loc"),
                      Variable(np.ones(arguments["parameter_shape"]), "scale", dtype=dtype))


def _initial_actnorm(arguments: Arguments, dtype: Any) -> Callable[[Array], dict[str, Array]]:
    def statistics(batch: Array) -> dict[str, Array]:
        epsilon: Any = constant(2.0**arguments["epsilon_log2"], batch)[()]
        mean, deviation = activation_normalization.channel_statistics(batch, epsilon)
        log_scale = -log(deviation)
        return {"mean": mean, "deviation": deviation, "shift": -mean, "log_scale": log_scale}
    return statistics


def _nested(arguments: Arguments, dtype: Any) -> list[Any]:
    return [OPERATIONS[part["operation"]].build(part["arguments"], dtype)
            for part in arguments["parts"]]


_BY_ELEMENT = (
    "Identity", "Shift", "Scale", "ScaleByLog", "Exp", "Log", "Reciprocal", "Sigmoid",
    "SigmoidBetween", "Softplus", "SoftplusSoft", "Tanh", "AbsoluteValue", "SigmoidAffine",
    "ExpAffine", "Squeeze", "Expand", "Permute", "Transpose", "Reshape", "Split", "Pad",
    "ActivationNormalization", "ReLU", "Normal")
_DENSITIES = ("Independent", "Sample", "GlowDensity")

OPERATIONS: dict[str, Operation] = {
    # ---- element by element ----------------------------------------------------------------------
    "Identity": Operation("y = x; fldj = 0", _plain(tfb.Identity)),
    "Shift": Operation("y = x + shift; fldj = 0", _parametrized(tfb.Shift, "shift")),
    "Scale": Operation("y = scale x; fldj = sum log|scale| over the numbers of the event",
                       _parametrized(tfb.Scale, "scale")),
    "ScaleByLog": Operation(
        "y = exp(log_scale) x; fldj = sum log_scale over the numbers of the event",
        lambda arguments, dtype: tfb.Scale(log_scale=_zeros(arguments, dtype, "log_scale"))),
    "Exp": Operation("y = exp(x); fldj = sum x", _plain(tfb.Exp)),
    "Log": Operation("y = log(x); fldj = -sum log x", _plain(tfb.Log)),
    "Reciprocal": Operation("y = 1 / x; fldj = -2 sum log|x|", _plain(tfb.Reciprocal)),
    "Sigmoid": Operation("y = 1 / (1 + exp(-x)); fldj = sum (-softplus(-x) - softplus(x))",
                         _plain(tfb.Sigmoid)),
    "SigmoidBetween": Operation(
        "y = low + (high - low) / (1 + exp(-x)); fldj as Sigmoid's plus sum log(high - low)",
        _parametrized(tfb.Sigmoid, "low", "high")),
    "Softplus": Operation("y = log(1 + exp(x)); fldj = -sum softplus(-x)", _plain(tfb.Softplus)),
    "SoftplusSoft": Operation(
        "y = h log(1 + exp(x / h)) + low, h = hinge_softness; fldj = -sum softplus(-x / h)",
        lambda arguments, dtype: tfb.Softplus(
            Variable(np.ones(arguments["parameter_shape"]), "hinge_softness", dtype=dtype),
            _zeros(arguments, dtype, "low"))),
    "Tanh": Operation("y = tanh(x); fldj = 2 sum (log 2 - x - softplus(-2 x))", _plain(tfb.Tanh)),
    "AbsoluteValue": Operation(
        "y = |x|, which is not injective: there is no log-det of forward. inverse gives both "
        "preimages, -y and y, and for each of them the log-det 0", _plain(tfb.AbsoluteValue)),
    "SigmoidAffine": Operation(
        "y = s x + shift, s = sigmoid(raw_scale + 2); fldj = sum log s, over the numbers of the "
        "event: the affine map of Glow's coupling", _parametrized(tfb.SigmoidAffine, "raw_scale",
                                                                  "shift")),
    "ExpAffine": Operation(
        "y = s x + shift, s = exp(raw_scale + 2); fldj = sum log s: the affine map of Glow's exit",
        _parametrized(tfb.ExpAffine, "raw_scale", "shift")),
    # ---- moving numbers --------------------------------------------------------------------------
    "Squeeze": Operation(
        "y[.., h, w, (c n + a) n + b] = x[.., n h + a, n w + b, c], n = block_size; fldj = 0",
        lambda arguments, dtype: tfb.Squeeze(tuple(arguments["input_shape"]),
                                             arguments["block_size"])),
    "Expand": Operation(
        "Squeeze's inverse: y[.., h n + a, w n + b, c] = x[.., h, w, (c n + a) n + b], n = "
        "block_size; fldj = 0",
        lambda arguments, dtype: tfb.Expand(tuple(arguments["input_shape"]),
                                            arguments["block_size"])),
    "Permute": Operation("y[.., i] = x[.., permutation[i]] along `axis`; fldj = 0",
                         lambda arguments, dtype: tfb.Permute(
                             Variable(np.arange(arguments["channels"], dtype=np.int32),
                                      "permutation", trainable=False), axis=arguments["axis"])),
    "Transpose": Operation("the event's dimensions in the order `perm`; fldj = 0",
                           _plain(tfb.Transpose)),
    "Reshape": Operation("the event's numbers, row by row, in another shape; fldj = 0",
                         _plain(tfb.Reshape)),
    "Pad": Operation("constant_values around the event's last dimensions; fldj = 0",
                     _plain(tfb.Pad)),
    "Split": Operation(
        "Pieces of x along `axis`, of the sizes num_or_size_splits (or so many of equal size), "
        "-1 for what is left: value/0, value/1, ...; fldj = 0", _plain(tfb.Split)),
    # ---- channels --------------------------------------------------------------------------------
    "ScaleMatvecLU": Operation(
        "In every pixel y = P L U x, with lower_upper = L - I + U, the diagonal of L 1, and "
        "(P v)[permutation[i]] = v[i]; fldj = (number of pixels in the event) sum log|diagonal of "
        "U|", _scale_matvec_lu),
    "OneByOneConv": Operation(
        "As ScaleMatvecLU, in every pixel of an image",
        lambda arguments, dtype: tfb.OneByOneConv(arguments["channels"], seed=0, dtype=dtype)),
    "ActivationNormalization": Operation(
        "In every pixel y = x exp(-log_scale) - shift; fldj = -(number of pixels) sum log_scale; "
        "inverse: x = (y + shift) exp(log_scale)", _actnorm),
    "InitialActNorm": Operation(
        "Over all but the last dimension: mean, deviation = sqrt(mean of (x - mean)^2) + "
        "2^epsilon_log2, shift = -mean, log_scale = -log(deviation): the start from data of an "
        "ActNorm whose inverse normalizes it", _initial_actnorm),
    # ---- networks --------------------------------------------------------------------------------
    "Conv2D": Operation(
        "y[h, w, o] = bias[o] + sum over a, b, i of x[h + a - ph, w + b - pw, i] "
        "kernel[a, b, i, o]; padding same: ph, pw = half the kernel's side, x = 0 outside; valid: "
        "ph = pw = 0 and y is smaller",
        lambda arguments, dtype: Conv2D(arguments["in_channels"], arguments["filters"],
                                        tuple(arguments["kernel_size"]), arguments["padding"],
                                        dtype=dtype)),
    "Dense": Operation("y = x kernel + bias", lambda arguments, dtype: Dense(
        arguments["in_features"], arguments["units"], dtype=dtype)),
    "ReLU": Operation("y = max(x, 0)", lambda arguments, dtype: ReLU()),
    "CouplingNetwork": Operation(
        "Conv2D k x k, ReLU, Conv2D 1 x 1, ReLU, Conv2D k x k, all padded with zeros: from C to "
        "num_hidden, num_hidden, 2 C channels; k = kernel_shape, 3 if it is not given",
        lambda arguments, dtype: tfb.GlowDefaultNetwork(
            tuple(arguments["input_shape"]), arguments["num_hidden"],
            arguments.get("kernel_shape", 3), dtype)),
    "ExitNetwork": Operation("One Conv2D, 3 x 3, padded with zeros, to 2 output_chan channels",
                             lambda arguments, dtype: tfb.GlowDefaultExitNetwork(
                                 tuple(arguments["input_shape"]), arguments["output_chan"],
                                 arguments.get("kernel_shape", 3), dtype)),
    # ---- compositions ----------------------------------------------------------------------------
    "Chain": Operation("The parts one after the other, the last one first; fldj is their sum",
                       lambda arguments, dtype: tfb.Chain(_nested(arguments, dtype))),
    "Invert": Operation("The part's inverse",
                        lambda arguments, dtype: tfb.Invert(*_nested(arguments, dtype))),
    "Blockwise": Operation("Each part maps its block of the last dimension, of block_sizes",
                           lambda arguments, dtype: tfb.Blockwise(_nested(arguments, dtype),
                                                                  arguments["block_sizes"])),
    "JointMap": Operation(
        "Each part maps an array of its own: value/0 is parts[0] of input/0, ...; fldj is the sum "
        "of theirs", lambda arguments, dtype: tfb.JointMap(_nested(arguments, dtype))),
    "RealNVP": Operation(
        "With [x0, x1] = the first num_masked and the other channels (the last and the others if "
        "it is negative), y0 = x0, y1 = x1 exp(log_scale) + shift, where [shift, log_scale] = "
        "Dense layers with ReLU between of x0; is_constant_jacobian: shift only", _real_nvp),
    "GlowBlock": Operation(
        "inverse, from images to latents, applies the steps from the last to step 0, each: "
        "ActivationNormalization.inverse; OneByOneConv.forward; with the channels' halves [a, b], "
        "b = s b + t, s = sigmoid(r + 2), [r, t] = CouplingNetwork of a. forward undoes them. "
        "network additive: Conv2D 3 x 3, ReLU, Conv2D 1 x 1 of a give t alone, and s = 1",
        _glow_block),
    "ExitBijector": Operation(
        "forward is towards the latents (unlike GlowBlock's and Glow's). Channels are split as [go "
        "on, exit, left alone] = split. The exiting ones are y = s x + t, s = exp(r + 2), [r, t] = "
        "ExitNetwork of those that go on; fldj = sum (r + 2). network additive: Conv2D 3 x 3, "
        "ReLU, Conv2D 1 x 1 give t alone, and s = 1. If none go on or none exit, nothing changes "
        "and there are no parameters", _exit),
    "Glow": Operation(
        "forward makes images of latents; inverse, from an image: for i from num_glow_blocks - 1 "
        "down to 0: Squeeze with block_size 2; the first channels, all but those that have exited "
        "before, go through GlowBlock block{i}.inverse; of these the last floor(share times their "
        "number) exit: ExitBijector block{i}.exit.forward with split [the others, these, exited "
        "before]. Squeezing makes four of each channel, exited ones too. At the end the image is "
        "flattened row by row. share = grab_after_block[num_glow_blocks - 1 - i]; by default 1/2, "
        "and 0 for i = 0. forward undoes all that. Couplings and exits as in GlowBlock, "
        "ExitBijector", _glow),
    # ---- densities -------------------------------------------------------------------------------
    "Normal": Operation(
        "value = -((x - loc) / scale)^2 / 2 - log(scale) - log(2 pi) / 2", _normal),
    "Independent": Operation(
        "value = Normal's, summed over as many of the last dimensions as parameter_shape has",
        lambda arguments, dtype: tfd.Independent(
            _normal(arguments, dtype), len(arguments["parameter_shape"]))),
    "Sample": Operation(
        "value = Normal's, with one loc and one scale, summed over all numbers of sample_shape",
        lambda arguments, dtype: tfd.Sample(_normal({"parameter_shape": []}, dtype),
                                            arguments["sample_shape"])),
    "GlowDensity": Operation(
        "value = sum over latents z of -z^2 / 2 - log(2 pi) / 2, plus inverse's log-det, z = "
        "Glow.inverse of the image x; Glow's parameters are called bijector.block{i}...",
        _glow_density),
}


def arguments_of_parts(*parts: tuple[str, Arguments]) -> list[dict[str, Any]]:
    """The `parts` of a composition's arguments.

    Args:
      parts: (operation, arguments).
    """
    return [{"operation": operation, "arguments": arguments} for operation, arguments in parts]


def is_function(subject: Any) -> bool:
    """Whether what was built is a mere function of its input."""
    return not isinstance(subject, (Module, Network)) and callable(subject)
