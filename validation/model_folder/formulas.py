"""What the layers and results of a model are, in words, for a folder's manifest.

Layers are told towards the latent, on the channels that have not exited, as in `active_layers`.
"""

from __future__ import annotations

from collections.abc import Mapping

from refglow.validation.vectors.operations import OPERATIONS

FORMULAS: Mapping[str, str] = {
    "images": "[B, H, W, C], row-major, the channels of a pixel beside each other. Every layer "
              "takes what the layer before gave; h, w, c are its own sizes.",
    "squeeze": "Takes the images, or the first channels that went on from the block before: "
               "y[b, i, j, (k 2 + p) 2 + q] = x[b, 2 i + p, 2 j + q, k]. log_det = 0.",
    "actnorm": "y = (x + shift) exp(log_scale), by channel. log_det = h w sum(log_scale).",
    "conv": "In every pixel y = P L U x, with lower_upper = L - I + U (the diagonal of L is 1) and "
            "(P v)[permutation[k]] = v[k], counting from 0. log_det = h w sum(log|diagonal of U|).",
    "coupling": "With a the first floor(c / 2) channels and b the others: y = [a, s b + t], s = "
                "sigmoid(r + 2), [r, t] = network(a), r the first half of its channels. log_det = "
                "sum(log s) over pixels and channels. A network that gives as many channels as b "
                "has gives t alone, and s = 1.",
    "exit": "With a the first `leave` channels and b the other `grab` (blockwise_splits holds "
            "[leave, grab, exited before] for each block): y = [a, s b + t], s = exp(r + 2), [r, "
            "t] = network(a). log_det = sum(r + 2). A network that gives `grab` channels gives t "
            "alone, and s = 1. a goes on to the next block; b, transformed, has exited.",
    "network": "Its convolutions conv1, conv2, ... with ReLU between them. Conv2D: "
               f"{OPERATIONS['Conv2D'].formula}. Here padding is \"same\".",
    "latents": "e = what exits at the first block. At each later block e = [what exits there, "
               "squeeze(e)], joined by channels; where nothing exits, e = squeeze(e). At the end "
               "z = [what goes on after the last block, e], flattened row by row: [B, D].",
    "forward": "undoes all that, from the latents to images.",
}

MEANINGS: Mapping[str, str] = {
    "inverse": "the latents of x",
    "inverse_log_det_jacobian": "of x, for each image: the sum of all layers' log_det, in nats",
    "forward": "the images of z",
    "forward_log_det_jacobian": "of z, for each: minus the log-det of its images' inverse",
    "log_prob": "of x: sum over its latents of -z^2 / 2 - log(2 pi) / 2, plus "
                "inverse_log_det_jacobian",
    "bits_per_dim": "of x: -log_prob / (D log 2) + 8",
    "layers/LAYER/output": "what the layer gives on the way from x to the latents",
    "layers/LAYER/log_det": "the layer's, for each image",
    "gradients/PARAMETER": "of the mean of log_prob over the images; \"x\" for the images; "
                           "lower_upper's holds both triangles",
    "initialize/PARAMETER": "ActNorms' start from x: on the way from the image each takes what "
                            "reaches it over all images and pixels, shift = -mean, log_scale = "
                            "-log(sqrt(mean of (x + shift)^2) + 10 eps), eps 2^-52 or 2^-23, and "
                            "is then applied",
    "round_trip/forward": "of your own inverse; should be x",
    "round_trip/forward_log_det_jacobian": "of your own inverse; should be "
                                           "-inverse_log_det_jacobian",
}
