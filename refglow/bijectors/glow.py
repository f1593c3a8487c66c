"""Glow: the multi-scale flow between a latent vector and an image.

With n blocks, an image [H, W, C] and a latent z of H W C numbers:

    z [HWC] <-> [H/2^n, W/2^n, C 4^n] <-> exit 0, block 0, expand <-> exit 1, block 1, expand
            <-> ... <-> exit n-1, block n-1, expand <-> image [H, W, C]

`forward` goes from left to right and makes images; `inverse` goes from right to left and makes
latents. Block 0 is the coarsest and next to the latent. On the way to the latent, block i acts on
leave_i + grab_i channels; then grab_i of them exit (ExitBijector) and leave_i go on, squeezed, to
block i - 1. What has exited travels along as extra channels, squeezed too, through Identity.

    fldj(z) = the sum of the blocks' and exits' log-dets; reshaping and expanding contribute 0

`blockwise_splits[i] = [leave_i, grab_i, pass_i]`. In the latent vector the scales are interleaved
for each coarse pixel; `split_latents` takes them apart.

Source: Kingma & Dhariwal 2018, figure 2; tfp.bijectors.Glow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.bijectors.activation_normalization import (
    ActivationNormalization,
    undone_on_error,
)
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.blockwise import Blockwise
from refglow.bijectors.chain import Chain
from refglow.bijectors.composition import Composition
from refglow.bijectors.exit_bijector import ExitBijector
from refglow.bijectors.expand import Expand
from refglow.bijectors.glow_block import GlowBlock
from refglow.bijectors.glow_shapes import blockwise_splits_of, image_shape, scale_shapes
from refglow.bijectors.identity import Identity
from refglow.bijectors.invert import Invert
from refglow.bijectors.latents import merge_latents, split_latents
from refglow.bijectors.reshape import Reshape
from refglow.dtypes import DEFAULT_FLOAT, Array, as_array, canonical_dtype


class Glow(Composition):
    """The Glow bijector: `forward` maps latents [..., H*W*C] to images [..., H, W, C].

    >>> import numpy as np, refglow as rg
    >>> glow = rg.bijectors.Glow((8, 8, 3), num_glow_blocks=2, num_steps_per_block=1, seed=0)
    >>> z, ildj = glow.inverse_and_log_det(np.zeros((5, 8, 8, 3), np.float32) + 0.25)
    >>> z.shape, ildj.shape, [part.shape for part in glow.split_latents(z)]
    ((5, 192), (5,), [(5, 2, 2, 24), (5, 4, 4, 6)])
    """

    def __init__(self, output_shape: Sequence[int] = (32, 32, 3), num_glow_blocks: int = 3,
                 num_steps_per_block: int = 32,
                 coupling_bijector_fn: Callable[..., Any] | None = None,
                 exit_bijector_fn: Callable[..., Any] | None = None,
                 grab_after_block: Sequence[float] | None = None, use_actnorm: bool = True,
                 seed: int | np.random.Generator | None = None, validate_args: bool = False,
                 name: str = "glow", dtype: npt.DTypeLike = DEFAULT_FLOAT) -> None:
        """Build it.

        Args:
          output_shape: (H, W, C) of the image; H and W divisible by 2^num_glow_blocks.
          num_glow_blocks: the number of blocks n, at least 1.
          num_steps_per_block: the number of steps (ActNorm, 1x1 convolution, coupling) in each.
          coupling_bijector_fn: called with the shape (h, w, c) of half a block's channels; returns
            a network, which maps [..., h, w, c] to c channels (additive coupling), 2c channels
            (affine coupling) or a bijector. None: GlowDefaultNetwork. If the function has
            parameters `dtype` or `seed`, it is given Glow's. For gradients the network has `vjp`
            and `jvp` (see `Network`); to one that returns a bijector the pullback gives
            {name in that bijector: cotangent} of its arrays, and `jvp` returns their tangents so.
          exit_bijector_fn: called with the shape of the remaining channels and
            output_chan=number of exiting channels; returns a network as above, its output measured
            against output_chan. None: GlowDefaultExitNetwork.
          grab_after_block: for each block, starting at the image, the fraction of the channels
            then remaining that exits after it, rounded down. None: half, and none after the last.
            0 means none. All of them may exit after the last block only.
          use_actnorm: whether steps have an ActNorm, initialised by the first batch.
          seed: int or NumPy Generator for the random starts; None: different every time.
          validate_args: whether to check that inputs are finite.
          name: its name.
          dtype: the number type of parameters, inputs and outputs.

        Raises:
          ValueError: if shapes, blocks and fractions do not fit together; says which and why.
        """
        shape = image_shape(output_shape, num_glow_blocks)
        self._image_shape, self._num_blocks = shape, int(num_glow_blocks)
        self._splits = blockwise_splits_of(shape, self._num_blocks, grab_after_block)
        number_type = canonical_dtype(dtype) or DEFAULT_FLOAT
        streams = np.random.default_rng(seed).spawn(2 * self._num_blocks)
        (h, w, c), n = shape, self._num_blocks
        chain: list[Bijector] = [Reshape((h // 2**n, w // 2**n, c * 4**n), (h * w * c,))]
        members: dict[str, Any] = {}
        for i, (leave, grab, passed) in enumerate(self._splits):
            size = scale_shapes(shape, n)[i]
            exit_ = ExitBijector(size, (leave, grab, passed), exit_bijector_fn,
                                 seed=streams[2 * i], dtype=number_type)
            block = GlowBlock((*size[:2], leave + grab), num_steps_per_block,
                              coupling_bijector_fn, use_actnorm, seed=streams[2 * i + 1],
                              dtype=number_type)
            whole = block if passed == 0 else Blockwise([block, Identity()],
                                                        [leave + grab, passed])
            chain += [Invert(exit_), whole, Expand(size)]
            members |= {f"block{i}": block, f"block{i}.exit": exit_}
        super().__init__(
            Chain(chain[::-1], validate_args=validate_args), members=members, name=name,
            dtype=number_type, validate_args=validate_args,
            parameters=dict(output_shape=output_shape, num_glow_blocks=num_glow_blocks,
                            num_steps_per_block=num_steps_per_block,
                            coupling_bijector_fn=coupling_bijector_fn,
                            exit_bijector_fn=exit_bijector_fn, grab_after_block=grab_after_block,
                            use_actnorm=use_actnorm, seed=seed, validate_args=validate_args,
                            name=name, dtype=dtype))
        self._actnorms = [m for m in self.submodules if isinstance(m, ActivationNormalization)]

    @property
    def blockwise_splits(self) -> list[list[int]]:
        """[leave, grab, pass] for each exit, the coarsest (next to the latent) first."""
        return [list(split) for split in self._splits]

    def initialize(self, images: Any) -> None:
        """Set every ActNorm from a batch of images [..., H, W, C], as the first `inverse` would.

        ActNorms that were set before are set anew. On an error nothing is changed.

        Raises:
          ValueError: if there are no ActNorms, or the images do not fit, are empty or not finite.
        """
        if not self._actnorms:
            why = ("without steps" if self.parameters["use_actnorm"] else
                   "with use_actnorm=False")
            raise ValueError(f"{self.name} was built {why}: there is nothing to initialise.")
        batch = self._convert(images, "images", 3)
        with undone_on_error(self._actnorms):
            for actnorm in self._actnorms:
                actnorm.reset()
            self._inverse(batch)

    def split_latents(self, z: Any) -> list[Array]:
        """The latent vector taken apart by scale.

        Args:
          z: [..., H*W*C].

        Returns:
          [z_0, z_1, ...], coarsest first, one for each scale that holds latents: what is left
          after the last block (if any), then what exited at blocks 0, 1, .... Each is
          [..., h, w, c] at the resolution of its block, as it exited.
        """
        array = as_array(z, self.dtype, self.name, "z")
        self._check_latent(array.shape)
        return split_latents(array, self._image_shape, self._splits)

    def merge_latents(self, parts: Sequence[Any]) -> Array:
        """The latent vector of its pieces: the inverse of `split_latents`.

        Args:
          parts: as `split_latents` returns them, each [..., h, w, c].

        Returns:
          z: [..., H*W*C].

        Raises:
          ValueError: if the pieces are not as `split_latents` returns them.
        """
        arrays = [as_array(part, self.dtype, self.name, f"parts[{k}]")
                  for k, part in enumerate(parts)]
        return merge_latents(arrays, self._image_shape, self._splits)

    def astype(self, dtype: npt.DTypeLike) -> Glow:
        """A new Glow with this one's architecture and parameters, in another number type.

        ActNorms' flags and permutations are copied. refglow's networks are built again in the new
        type; a user's network that has named variables comes from the user's function, called
        again with `dtype` if it has such a parameter; one that has none is used as it is.

        Args:
          dtype: floating, complex or object.

        Raises:
          TypeError: if a complex model would become real, or a user's network cannot change type.
          ValueError: if the user's function gives a network with other variables than before.
        """
        from refglow.bijectors.architecture import astype
        return astype(self, dtype)

    # A first use that fails half-way leaves no ActNorm initialised.

    def _forward(self, x: Any, **kwargs: Any) -> Any:
        with undone_on_error(self._fresh_actnorms()):
            return super()._forward(x, **kwargs)

    def _inverse(self, y: Any, **kwargs: Any) -> Any:
        with undone_on_error(self._fresh_actnorms()):
            return super()._inverse(y, **kwargs)

    def _forward_and_event_log_det(self, x: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        with undone_on_error(self._fresh_actnorms()):
            return super()._forward_and_event_log_det(x, event_ndims, **kwargs)

    def _inverse_and_event_log_det(self, y: Any, event_ndims: Any,
                                   **kwargs: Any) -> tuple[Any, Any]:
        with undone_on_error(self._fresh_actnorms()):
            return super()._inverse_and_event_log_det(y, event_ndims, **kwargs)

    def _fresh_actnorms(self) -> list[ActivationNormalization]:
        return [actnorm for actnorm in self._actnorms if not actnorm.initialized]

    def _convert(self, value: Any, what: str, event_ndims: Any) -> Any:
        array = as_array(value, self.dtype, self.name, what)
        if what == "x":
            self._check_latent(array.shape)
        elif array.shape[-3:] != self._image_shape:
            raise ValueError(f"{self.name}: expected images of shape [..., "
                             f"{', '.join(map(str, self._image_shape))}]; got {list(array.shape)}.")
        return super()._convert(array, what, event_ndims)

    def _check_latent(self, shape: tuple[int, ...]) -> None:
        size = int(np.prod(self._image_shape))
        if not shape or shape[-1] != size:
            h, w, c = self._image_shape
            raise ValueError(f"{self.name}: expected latents of shape [..., {size}] "
                             f"({h} * {w} * {c}); got {list(shape)}.")


def require_glow(given: Any, what: str) -> Glow:
    """The Glow that was given.

    Args:
      given: whatever was given.
      what: who takes it, and the verb, "schematic draws"; begins the message.

    Raises:
      TypeError: if it is not refglow's; says how to take over others.
    """
    if not isinstance(given, Glow):
        raise TypeError(f"{what} a Glow of refglow; got {type(given).__name__}. Those of other "
                        "projects are taken over by refglow.validation.adapters.")
    return given
