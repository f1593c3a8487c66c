"""Taking Glow's latent vector apart by scale, and putting it together.

The latent vector is the coarsest tensor [H/2^n, W/2^n, C 4^n], flattened. Its channels are, first,
the `leave_0` that went through all blocks, then the `grab_0` that exited at block 0, then those
that exited earlier, squeezed to this resolution. Undoing one squeeze on the latter gives the tensor
of [leave_1 + grab_1 channels' place | ...] at block 1, of which the first `grab_1` exited there.

So a contiguous range of the vector is *not* one scale: every coarse pixel holds a share of each.
(The recipe in TFP's documentation cuts contiguous ranges; see the errata.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refglow.array_library import zeros
from refglow.bijectors.expand import expand_forward, expand_inverse
from refglow.bijectors.glow_shapes import Splits, scale_shapes
from refglow.dtypes import Array


def split_latents(z: Array, shape: tuple[int, int, int], splits: Splits) -> list[Array]:
    """[z_coarsest, ..., z_finest] from the latent vector; scales without channels are left out.

    Args:
      z: [..., H*W*C], any dtype.
      shape: (H, W, C) of the image.
      splits: (leave, grab, pass) of each block, the coarsest first.

    Returns:
      arrays [..., h, w, channels], each in its own scale's resolution.

    Source: Kingma & Dhariwal 2018, figure 2b; tfp.bijectors.Glow.
    """
    sizes = scale_shapes(shape, len(splits))
    rest = z.reshape(z.shape[:-1] + sizes[0])
    parts: list[Array] = []
    for i, (leave, grab, _) in enumerate(splits):
        if i == 0:
            parts.append(rest[..., :leave])
            rest = rest[..., leave:]
        parts.append(rest[..., :grab])
        rest = rest[..., grab:]
        if i + 1 < len(splits):
            rest, _ = expand_forward(rest, 2)
    return [part for part in parts if part.shape[-1]]


def merge_latents(parts: Sequence[Array], shape: tuple[int, int, int], splits: Splits) -> Array:
    """The inverse of `split_latents`.

    Args:
      parts: arrays [..., h, w, channels] as `split_latents` returns them, of one batch shape.
      shape, splits: as for `split_latents`.

    Returns:
      z: [..., H*W*C].

    Raises:
      ValueError: if the parts are not as `split_latents` returns them.

    Source: as for `split_latents`.
    """
    expected = _part_shapes(shape, splits)
    given = [part.shape[-3:] for part in parts]
    if given != expected:
        raise ValueError(f"Expected latents of shapes {expected}, coarsest first; got {given}.")
    batches = {part.shape[:-3] for part in parts}
    if len(batches) > 1:
        raise ValueError(f"The latents have different batch shapes: {sorted(batches)}.")
    (batch,) = batches
    remaining = list(parts)
    h, w, _ = scale_shapes(shape, len(splits))[-1]
    rest = zeros((*batch, h, w, 0), remaining[-1])
    for i, (leave, grab, _) in reversed(list(enumerate(splits))):
        pieces = [rest]
        if grab:
            pieces.insert(0, remaining.pop())
        if i == 0 and leave:
            pieces.insert(0, remaining.pop())
        rest = np.concatenate(pieces, axis=-1)
        if i > 0:
            rest, _ = expand_inverse(rest, 2)
    return rest.reshape(*batch, int(np.prod(shape)))


def _part_shapes(shape: tuple[int, int, int], splits: Splits) -> list[tuple[int, ...]]:
    sizes = scale_shapes(shape, len(splits))
    shapes = [(*sizes[0][:2], splits[0][0])]
    shapes += [(*size[:2], grab) for size, (_, grab, _) in zip(sizes, splits, strict=True)]
    return [s for s in shapes if s[-1]]
