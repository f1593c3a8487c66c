"""Mistakes that ports of Glow make; every vector says which of them it catches.

A mistake, or a convention of one implementation that is a mistake in another. `who` names
implementations whose convention it is, or reports; where none is known it says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """A mistake.

    Attributes:
      bug: what is done instead.
      effect: what one sees of it.
      who: whom it hit, or whose convention it is.
      shows_in: "value", "log_det" or "derivative": what a vector that catches it has wrong, so that
        it is not made where these are right. Empty where that depends.
    """

    bug: str
    effect: str
    who: str
    shows_in: str = ""


_NOBODY = "no report known; a classic of ports"

FLAGS: dict[str, Flag] = {
    # ---- squeeze, flattening ---------------------------------------------------------------------
    "SpaceToDepth": Flag(
        "The squeeze orders channels as (row, column, channel), as space_to_depth does, not as "
        "(channel, row, column).",
        "Channels are exchanged; every round trip and log-det is right, imported weights are not.",
        "FrEIA with legacy_backend=True; tf.nn.space_to_depth", "value"),
    "SqueezeAxes": Flag(
        "Rows and columns inside a tile are exchanged: (channel, column, row).",
        "As SpaceToDepth; images that equal their transpose hide it.",
        "ports that swap height and width (InvertibleNetworks.jl's axes differ by which is the "
        "width)", "value"),
    "FlattenNCHW": Flag(
        "Images are flattened, or reshaped, in the order channel, row, column.",
        "Latents and their halves are other numbers; sizes and log-dets agree.",
        "ports between PyTorch and TensorFlow; nflows' flat latents", "value"),
    "PartOrder": Flag(
        "Several arrays that a map takes or gives are in another order: the pieces of a split, the "
        "two preimages of |x|.",
        "Shapes agree where they are of one size.",
        _NOBODY),
    # ---- couplings -------------------------------------------------------------------------------
    "WrongHalf": Flag(
        "The other part of the channels decides.",
        "Everything is invertible and has right log-dets, for another function.",
        "FrEIA's GLOWCouplingBlock, InvertibleNetworks.jl; nflows, by its mask", "value"),
    "ShiftBeforeScale": Flag(
        "Shifted, then scaled: (x + t) s, where it should be s x + t.",
        "Values differ, log-dets agree.",
        "OpenAI, rosinality, chaiyujin, y0ast; normflows has (x - t) s", "value"),
    "InterleavedParams": Flag(
        "The network's outputs are read as t = 0::2, r = 1::2 instead of as two halves.",
        "Values and log-dets differ; with one mapped channel nothing does.",
        "OpenAI, chaiyujin, y0ast, normflows", "value"),
    "SwappedParams": Flag(
        "Scale and shift are exchanged: the halves of a network's output are read as [t, r] where "
        "they are [r, t], or the other way round.",
        "Values and log-dets differ.",
        "nflows", "value"),
    "ScaleOffset": Flag(
        "The 2 in sigmoid(r + 2) or exp(r + 2) is left out.",
        "Scales are others; training still works.",
        "InvertibleNetworks.jl", "value"),
    "ScaleFloor": Flag(
        "A small constant, such as 0.001, is added to the scale.",
        "Differences of a thousandth, or nothing that one sees in tests of 1e-2.",
        "nflows; InvertibleNetworks.jl's inverse divides by s + eps", "value"),
    "ScaleFunction": Flag(
        "The scale is exp where it should be the sigmoid, or the other way round.",
        "Values and log-dets differ.",
        "normflows' AffineCoupling by default; FrEIA, with atan or tanh inside", "value"),
    "AdditiveInstead": Flag(
        "Only the shift is applied.",
        "The log-det is zero.",
        "OpenAI's training script and rosinality, whose defaults are additive"),
    "InverseDirection": Flag(
        "forward is what others call inverse.",
        "Round trips pass; log-dets have the other sign.",
        "TFP and normflows go from latents to images, all others the other way", "value"),
    # ---- log-dets --------------------------------------------------------------------------------
    "MissingHW": Flag(
        "The log-det of a 1x1 convolution or an ActNorm is not multiplied by the number of pixels.",
        "Bits per dimension that are too good or too bad; samples are right.",
        "tfp#238, tfp#554", "log_det"),
    "LogDetSign": Flag(
        "The log-det has the wrong sign.",
        "The likelihood rewards shrinking; training runs away.",
        "normflows#27, flowjax#208", "log_det"),
    "LogDetBatch": Flag(
        "The log-det is summed or averaged over the batch instead of given for each example.",
        "Right in the mean, wrong for each image; a batch of one hides it.",
        "tfp#576; training loops that need only the mean", "log_det"),
    "LogDetBroadcast": Flag(
        "A parameter that serves several numbers is counted once in the log-det.",
        "The log-det is too small by a whole factor.",
        _NOBODY, "log_det"),
    "LogBase": Flag(
        "Logarithms are to the base 2.",
        "Log-dets and densities differ by the factor 1.44.",
        "no report known to be this; \"bits/dim do not match\": normflows#5, y0ast#27, "
        "openai/glow#51"),
    "DroppedTerm": Flag(
        "One of the log-dets of a composition is left out.",
        "Likelihoods are off by a term that may be constant, so that training does not show it.",
        _NOBODY),
    # ---- 1x1 convolution -------------------------------------------------------------------------
    "TransposedW": Flag(
        "The matrix multiplies from the other side: x W instead of W x.",
        "The log-det agrees, values do not; a symmetric or diagonal matrix hides it.",
        "OpenAI, z @ W; imports of its weights", "value"),
    "PermutationInverse": Flag(
        "The inverse permutation is applied.",
        "Values differ; permutations that are their own inverses, all of two channels, hide it.",
        "nflows has L U P where others have P L U; conversions", "value"),
    "LUPacking": Flag(
        "Lower and upper triangle are exchanged, or the lower one's diagonal is not 1.",
        "Values differ, and the log-det if the diagonal is taken twice.",
        _NOBODY),
    "LUSign": Flag(
        "The diagonal of U is taken to be positive: its sign is lost, or log of it gives NaN.",
        "NaN log-dets, or a reflected channel.",
        "nflows (softplus); imports of only log S of rosinality, normflows, y0ast"),
    # ---- ActNorm ---------------------------------------------------------------------------------
    "ActNormOrder": Flag(
        "Towards the latents the shift comes after the scale: e^v x + m, not e^v (x + m).",
        "Values differ unless all scales are 1.",
        "nflows, InvertibleNetworks.jl", "value"),
    "ActNormGain": Flag(
        "The log-scale is multiplied by 3.",
        "Values, log-dets and that parameter's gradient differ.",
        "OpenAI's logscale_factor", "value"),
    "SampleStd": Flag(
        "The deviation divides by n - 1 instead of n.",
        "Differences of 1 / (2 n); large batches hide it.",
        "rosinality, normflows, nflows, FrEIA, InvertibleNetworks.jl (PyTorch's std)"),
    "ActNormEpsilon": Flag(
        "Another constant, often 1e-6, or none, is added to the deviation.",
        "Nearly constant channels differ by any factor; without one, constant channels give inf.",
        "OpenAI, chaiyujin, y0ast, rosinality, normflows (1e-6); nflows, FrEIA, "
        "InvertibleNetworks.jl (none)"),
    "ZeroVariance": Flag(
        "A channel that never varies is divided by 0.",
        "inf or NaN at the first batch.",
        "rosinality#46, FrEIA#121"),
    "Cancellation": Flag(
        "The variance is computed as E[x^2] - E[x]^2.",
        "Digits are lost as (mean / deviation)^2; negative variances, NaN.",
        _NOBODY),
    # ---- networks --------------------------------------------------------------------------------
    "ZeroInitBlind": Flag(
        "Anything at all in a network whose last layer is zero: the wrong half, no network.",
        "Tests at the initial weights pass.",
        "every test of a new Glow at its zero-initialised start"),
    "FlippedKernel": Flag(
        "The kernel is turned by 180 degrees, as a mathematical convolution has it.",
        "Values differ; symmetric kernels and 1x1 hide it.",
        _NOBODY, "value"),
    "KernelLayout": Flag(
        "Input and output channels of a kernel, or its two sides, are exchanged.",
        "Values differ; shapes agree if both are of equal size.",
        "[out, in, h, w] of PyTorch read as [h, w, in, out]", "value"),
    "PaddingValue": Flag(
        "Borders are padded with other than zeros, or not seen at all.",
        "Only pixels near the border differ.",
        "OpenAI's border-indicator channel, rosinality's padding with ones", "value"),
    "Activation": Flag(
        "Another activation: leaky, or none.",
        "Negative hidden numbers go on.",
        "normflows' LeakyReLU(0) with another slope", "value"),
    # ---- composition, exits ----------------------------------------------------------------------
    "StepOrder": Flag(
        "ActNorm, 1x1 convolution and coupling follow one another in another order.",
        "Values differ, log-dets may agree.",
        "FrEIA's AllInOneBlock: coupling, affine, permutation"),
    "LatentOrder": Flag(
        "The parts of the latent vector are put together from the finest, or in another order.",
        "Likelihoods agree, latents do not; temperature by scale goes to the wrong parts.",
        "OpenAI, rosinality, nflows (finest first), normflows (coarsest first)"),
    "DroppedLatents": Flag(
        "What exits early is not kept.",
        "\"Not invertible\": reconstructions are blurred.",
        "chaiyujin, y0ast; rosinality#45, rosinality#7"),
    "ExitHalf": Flag(
        "The other half of the channels exits.",
        "Latents and likelihoods differ.",
        "nflows, where the high half goes on", "value"),
    "ExitForm": Flag(
        "Exiting numbers are whitened with N(mean, e^logs) instead of scaled by exp(r + 2).",
        "Values and log-dets differ; \"is TFP's exit OpenAI's?\"",
        "tfp#1177; OpenAI, rosinality, chaiyujin, y0ast", "value"),
    "ExitFraction": Flag(
        "How many channels exit is rounded another way, or cut at the wrong channel.",
        "Shapes or values differ for fractions other than one half.",
        "TFP itself (refglow errata: exit-slice, exit-all)"),
    # ---- numerics --------------------------------------------------------------------------------
    "Overflow": Flag(
        "exp of a large number on the way to a moderate one: 1 / (1 + exp(-x)), log(1 + exp(x)).",
        "inf, NaN in gradients.",
        "no report known to be this; \"sampling gives NaN\": tfp#1454, normflows#73, "
        "chaiyujin#22"),
    "LostTail": Flag(
        "log(sigmoid(x)), log(1 - tanh(x)^2), log(1 + small): digits are lost before the log.",
        "-inf in a tail, or few right digits where the scale is near 1.",
        "tfp#318 (Tanh)"),
    "FlushToZero": Flag(
        "Subnormal numbers become zero.",
        "log-dets of -inf, lost signs.",
        _NOBODY),
    "NearSingular": Flag(
        "A nearly singular matrix is inverted in a way that loses more digits than it must.",
        "Samples with few right digits although the likelihood is fine.",
        "normflows#67, openai/glow#40; Behrmann et al. 2020 (arXiv:2006.09347)"),
    "InvertedMatrix": Flag(
        "W = P L U is multiplied out and inverted, and W^-1 y computed, instead of two "
        "substitutions.",
        "Digits are lost as the condition of W grows, also of results that substitution has to all "
        "digits.",
        "ports that call inverse on the weight of the 1x1 convolution"),
    "SingleChannel": Flag(
        "C = 1, or one pixel, falls through: halves of size 0, permutations of nothing.",
        "Errors or untouched data.",
        _NOBODY),
    "OddSize": Flag(
        "Odd sizes of images or channels are cut, padded or refused.",
        "A border or a channel is missing.",
        _NOBODY),
    "Accumulation": Flag(
        "Long sums lose digits: kept in float16, or added in float32 one after the other.",
        "Log-dets and gradients of large images have few right digits.",
        _NOBODY),
    "Gradient": Flag(
        "A term of the gradient is missing: through the log-det, the scale, or over pixels.",
        "Training goes another way; values are right.",
        "hand-written gradients (InvertibleNetworks.jl#122)", "derivative"),
}
