"""Lesson 9's exercise: answers that are right, and wrong ones by what they are told."""

import numpy as np

from refglow.lessons.whole_glow import exercise

KINDS = ("actnorm", "conv", "coupling")


def glow(steps=reversed, kinds=KINDS, blocks=reversed, exits=True, join=("exited", "before"),
         final=("x", "exited"), counted=(*KINDS, "exit"), cut=True, of_all=False):
    """An answer with these choices; the defaults are right."""
    def inverse(x, layer, squeeze, splits, num_steps):
        total, before = np.zeros(len(x)), None
        for i in blocks(range(len(splits))):
            x = squeeze(x)
            for j in steps(range(num_steps)):
                for kind in kinds:
                    x, log_det = layer(f"block{i}.step{j}.{kind}", x)
                    total += log_det * (kind in counted)
            if exits:
                x, log_det = layer(f"block{i}.exit", x)
                total += log_det * ("exit" in counted)
            leave = splits[i][0]
            named = {"exited": x[..., leave:],
                     "before": x[..., :0] if before is None else squeeze(before)}
            before = np.concatenate([named[part] for part in join], axis=-1)
            x = x[..., :leave] if cut else x
        whole = np.concatenate([{"x": x, "exited": before}[part] for part in final], axis=-1)
        return whole.reshape(len(x), -1), total.sum() if of_all else total
    return inverse


def end_to_end(x, layer, squeeze, splits, num_steps):
    """Each scale flattened as it exits, in front of those that exited before."""
    total, stretches = 0.0, []
    for i in reversed(range(len(splits))):
        x, leave = squeeze(x), splits[i][0]
        names = [f"step{j}.{kind}" for j in reversed(range(num_steps)) for kind in KINDS]
        for name in [*names, "exit"]:
            x, log_det = layer(f"block{i}.{name}", x)
            total = total + log_det
        stretches = [x[..., leave:].reshape(len(x), -1), *stretches]
        x = x[..., :leave]
    return np.concatenate([x.reshape(len(x), -1), *stretches], axis=-1), total


RIGHT_ANSWERS = [exercise.solution, glow(),
                 lambda *given: [part.tolist() for part in glow()(*given)]]
WRONG_ANSWERS = {
    "That runs step 0 first": glow(steps=iter),
    "runs coupling, 1x1 convolution, ActNorm": glow(kinds=KINDS[::-1]),
    "runs the convolution before ActNorm": glow(kinds=("conv", "actnorm", "coupling")),
    "block0.step1.actnorm takes images of shape [2, 1, 2, 8], what has not exited before; it was "
    "given [2, 2, 4, 4]": glow(blocks=iter),
    "The exits are missing": glow(exits=False),
    "before what exited earlier: [leave | grab | pass]": glow(join=("before", "exited")),
    "What went through all blocks belongs first": glow(final=("exited", "x")),
    "The log-dets of the exits are missing": glow(counted=KINDS),
    "These are the log-dets of the couplings and exits alone": glow(counted=("coupling", "exit")),
    "it was given [2, 1, 2, 16]": glow(cut=False),
    "The log-dets of the convolutions are missing": glow(counted=("actnorm", "coupling", "exit")),
    "The log-dets of the ActNorms are missing": glow(counted=("conv", "coupling", "exit")),
    "The sign of the log-det is wrong": lambda *given: (glow()(*given)[0], -glow()(*given)[1]),
    "The scales were laid end to end": end_to_end,
    "log_det has the shape (); it should be (2,)": glow(of_all=True),
    "There is no layer 'block1.step2.actnorm'": glow(
        steps=lambda steps: [s + 1 for s in steps][::-1]),
    "There is no layer 'block1.squeeze'": lambda x, layer, *_: layer("block1.squeeze", x),
    "squeeze takes images of even height and width; it was given [2, 1, 2, 16]":
        lambda x, layer, squeeze, *_: squeeze(squeeze(squeeze(x))),
}
