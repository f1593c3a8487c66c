"""Lesson 9, the whole Glow: an exercise in putting the layers in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from refglow.backend import use_backend
from refglow.bijectors.expand import expand_inverse
from refglow.bijectors.glow import Glow
from refglow.bijectors.latents import split_latents
from refglow.dtypes import Array
from refglow.lessons.comparison import require_close, require_parts
from refglow.lessons.exercise import Exercise, WrongAnswerError
from refglow.networks.glow_networks import GlowDefaultNetwork
from refglow.validation.implementations.active_layers import active_layers
from refglow.validation.random_models import randomize_weights

TASK = """Write `inverse(x, layer, squeeze, splits, num_steps)`, from images x [B, H, W, C] to
`(z, log_det)`: latent vectors [B, H W C] and log-dets [B]. The layers are there already:

    layer(name, x)    (y, log_det [B]) of "block1.step0.actnorm", "...conv", "...coupling" and
                      "block1.exit" (which changes nothing where nothing exits)
    squeeze(x)        [B, h, w, c] to [B, h/2, w/2, 4c]

`splits[i]` is [leave, grab, pass] of block i; block 0 is next to the latent, step 0 too. What
remains is the order, which channels go where, and the sum."""

LayerFunction: TypeAlias = Callable[[str, Array], tuple[Array, Array]]
Squeeze: TypeAlias = Callable[[Array], Array]
Splits: TypeAlias = Sequence[Sequence[int]]


def inverse(x: Array, layer: LayerFunction, squeeze: Squeeze, splits: Splits,
            num_steps: int) -> tuple[Array, Array]:
    """Squeeze, steps and exit of each block, from the image on; what exited is squeezed along."""
    log_det, exited = np.zeros(len(x)), x[..., :0]
    for i in reversed(range(len(splits))):
        x, exited = squeeze(x), squeeze(exited)
        steps = [f"block{i}.step{j}.{kind}" for j in reversed(range(num_steps))
                 for kind in ("actnorm", "conv", "coupling")]
        for name in [*steps, f"block{i}.exit"]:
            x, of_layer = layer(name, x)
            log_det = log_det + of_layer
        leave = splits[i][0]
        exited = np.concatenate([x[..., leave:], exited], axis=-1)
        x = x[..., :leave]
    return np.concatenate([x, exited], axis=-1).reshape(len(x), -1), log_det


def _judge(answer: Callable[..., Any]) -> str:
    with use_backend("spec"):
        _compare(answer)
    return "It is Glow, for other sizes, blocks, steps and exits too: latents and log-dets agree."


def _compare(answer: Callable[..., Any]) -> None:
    for number, glow in enumerate(_models()):
        x = np.random.default_rng(number).normal(size=(2, *glow.parameters["output_shape"]))
        layer, splits = _layers_of(glow), glow.blockwise_splits
        steps = int(glow.parameters["num_steps_per_block"])
        got = answer(x.copy(), layer, squeezed, splits, steps)
        z, log_det = require_parts("inverse", got, ("z", "log_det"))
        right_z, right_log_det = glow.inverse_and_log_det(x)
        given = f"{len(splits)} blocks of {steps} steps on images {list(x.shape[1:])}"
        wrong = {words: mistaken(x, layer, squeezed, splits, steps)
                 for words, mistaken in _MISTAKES.items()}
        require_close("z", z, right_z, given=given,
                      mistakes={words: results[0] for words, results in wrong.items()})
        require_close("log_det", log_det, right_log_det, given=given,
                      mistakes={words: results[1] for words, results in wrong.items()})


def _models() -> Iterable[Glow]:
    """Three architectures, every weight random."""
    for seed, (shape, blocks, steps, grab) in enumerate((
            ((4, 8, 1), 2, 2, None), ((8, 4, 2), 2, 1, (0.25, 0.5)),
            ((8, 16, 1), 3, 2, (0.5, 0.0, 0.5)))):
        rng = np.random.default_rng(seed)
        glow = Glow(shape, blocks, steps, partial(GlowDefaultNetwork, num_hidden=4),
                    grab_after_block=grab, seed=rng, dtype=np.float64)
        randomize_weights(glow, rng)
        yield glow


def squeezed(x: Array) -> Array:
    """Tiles of 2 x 2 pixels moved into channels: [..., h, w, c] to [..., h/2, w/2, 4c]."""
    if x.ndim < 3 or x.shape[-3] % 2 or x.shape[-2] % 2:
        raise WrongAnswerError(f"squeeze takes images of even height and width; it was given "
                               f"{list(x.shape)}.")
    return expand_inverse(x, 2)[0]


def _layers_of(glow: Glow) -> LayerFunction:
    """The model's layers by name, which say what does not fit."""
    layers = {part.name: part for part in active_layers(glow)}
    exits = {f"block{i}.exit" for i in range(len(glow.blockwise_splits))}
    images = {part.name.split(".")[0]: squeezed_shape(part.layer.bijector) for part in
              layers.values() if part.name.endswith("squeeze")}

    def layer(name: str, x: Array) -> tuple[Array, Array]:
        if name not in layers | dict.fromkeys(exits) or name.endswith("squeeze"):
            raise WrongAnswerError(f"There is no layer {name!r}.")
        block = name.split(".")[0]
        leave, grab, _ = glow.blockwise_splits[int(block.removeprefix("block"))]
        expected = [len(x), *images[block], leave + grab]
        if list(x.shape) != expected:
            raise WrongAnswerError(f"{name} takes images of shape {expected}, what has not exited "
                                   f"before; it was given {list(x.shape)}.")
        return layers[name].towards_latent(x) if name in layers else (x, np.zeros(len(x)))
    return layer


def squeezed_shape(expand: Any) -> tuple[int, int]:
    """(h, w) after a squeeze, of the bijector that undoes it."""
    h, w, _ = expand.parameters["input_shape"]
    return int(h), int(w)


def _mistaken(x: Array, layer: LayerFunction, squeeze: Squeeze, splits: Splits, num_steps: int,
              *, turned: bool = False, kinds: tuple[str, ...] = ("actnorm", "conv", "coupling"),
              exited_last: bool = True, final_first: bool = True, coupled: bool = True,
              counted: tuple[str, ...] = ("actnorm", "conv", "coupling", "exit")
              ) -> tuple[Array, Array]:
    """`inverse` with a mistake: steps turned, other kinds, latents joined otherwise, ..."""
    log_det, exited = np.zeros(len(x)), x[..., :0]
    for i in reversed(range(len(splits))):
        x, exited = squeeze(x), squeeze(exited)
        order = range(num_steps) if turned else reversed(range(num_steps))
        names = [f"block{i}.step{j}.{kind}" for j in order for kind in kinds]
        for name in [*names, *([f"block{i}.exit"] if coupled else [])]:
            x, of_layer = layer(name, x)
            log_det = log_det + of_layer * (name.split(".")[-1] in counted)
        leave = splits[i][0]
        parts = [x[..., leave:], exited]
        exited = np.concatenate(parts if exited_last else parts[::-1], axis=-1)
        x = x[..., :leave]
    parts = [x, exited]
    z = np.concatenate(parts if final_first else parts[::-1], axis=-1)
    return z.reshape(len(z), -1), log_det


def _end_to_end(x: Array, layer: LayerFunction, squeeze: Squeeze, splits: Splits,
                num_steps: int) -> tuple[Array, Array]:
    """The latents of each scale as a stretch of z, the coarsest first."""
    z, log_det = inverse(x, layer, squeeze, splits, num_steps)
    shape = (int(x.shape[1]), int(x.shape[2]), int(x.shape[3]))
    triples = tuple((leave, grab, passed) for leave, grab, passed in splits)
    parts = split_latents(z, shape, triples)
    return np.concatenate([part.reshape(len(x), -1) for part in parts], axis=-1), log_det


_MISTAKES: dict[str, Callable[..., tuple[Array, Array]]] = {
    "That runs step 0 first. Steps are counted as forward applies them: towards the latent, the "
    "last comes first.": partial(_mistaken, turned=True),
    "That runs coupling, 1x1 convolution, ActNorm. Towards the latent it is ActNorm first, then "
    "the convolution, then the coupling.": partial(
        _mistaken, kinds=("coupling", "conv", "actnorm")),
    "That runs the convolution before ActNorm.": partial(
        _mistaken, kinds=("conv", "actnorm", "coupling")),
    "What exits now belongs before what exited earlier: [leave | grab | pass].": partial(
        _mistaken, exited_last=False),
    "What went through all blocks belongs first, before what exited.": partial(
        _mistaken, final_first=False),
    "The log-dets of the exits are missing.": partial(
        _mistaken, counted=("actnorm", "conv", "coupling")),
    "The exits are missing: what exits is scaled and shifted by its exit first.": partial(
        _mistaken, coupled=False),
    "The scales were laid end to end. In z each coarse pixel holds a share of every scale: squeeze "
    "what exited along, and join channels.": _end_to_end,
    "The sign of the log-det is wrong: each layer's is already that of the way to the latent.":
        lambda *given: (inverse(*given)[0], -inverse(*given)[1]),
    "The log-dets of the convolutions are missing.": partial(
        _mistaken, counted=("actnorm", "coupling", "exit")),
    "The log-dets of the ActNorms are missing.": partial(
        _mistaken, counted=("conv", "coupling", "exit")),
    "These are the log-dets of the couplings and exits alone; ActNorm and the convolution count "
    "too.": partial(_mistaken, counted=("coupling", "exit"))}

exercise = Exercise(TASK, _judge, inverse)
