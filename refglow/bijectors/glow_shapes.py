"""The arithmetic of Glow's shapes: what fits, and how many channels go where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from refglow.event_shape import EventShape

Splits = tuple[tuple[int, int, int], ...]

_WRITTEN_OUT = 64  # the largest power of two that a message writes out


def image_shape(output_shape: Any, num_glow_blocks: Any) -> tuple[int, int, int]:
    """`output_shape` as (H, W, C), checked to fit the number of blocks.

    Args:
      output_shape: three sizes.
      num_glow_blocks: the number of blocks, each of which halves H and W.

    Returns:
      three ints.

    Raises:
      ValueError: if it is not three known positive sizes, the number of blocks is not a positive
        int, or H or W is not divisible by 2^num_glow_blocks.

    Source: tfp.bijectors.Glow, arguments output_shape and num_glow_blocks.
    """
    (h, w, c), n = sizes_of_image(output_shape, "output_shape"), count_of(num_glow_blocks,
                                                                          "num_glow_blocks", 1)
    for what, size in (("height", h), ("width", w)):
        fits = (size & -size).bit_length() - 1
        if fits < n:
            power = f"2^{n} = {2**n}" if n <= _WRITTEN_OUT else f"2^{n}"
            raise ValueError(
                f"The image's {what} {size} must be divisible by 2^num_glow_blocks = {power}, "
                f"because each block halves it; {size} allows at most {fits} block"
                f"{'' if fits == 1 else 's'}.")
    return h, w, c


def sizes_of_image(shape: Any, what: str) -> tuple[int, int, int]:
    """`shape`, which must be (H, W, C), as three ints.

    Args:
      shape: three sizes, or an EventShape of them.
      what: what the shape is, for messages.

    Returns:
      (H, W, C).

    Raises:
      ValueError: if it is not three known positive sizes.

    Source: as for `image_shape`.
    """
    try:
        sizes = EventShape(shape)
    except (TypeError, ValueError):
        sizes = EventShape()
    if len(sizes) != 3 or any(size is None or size < 1 for size in sizes):
        raise ValueError(f"{what} must be three known positive sizes (H, W, C); got {shape}.")
    h, w, c = (size for size in sizes if size is not None)
    return h, w, c


def count_of(number: Any, what: str, least: int) -> int:
    """`number`, which must be a whole number, as an int.

    Args:
      number: an int, or a float without a fraction.
      what: what is counted, for messages.
      least: the least number allowed.

    Returns:
      the int.

    Raises:
      ValueError: if it is not whole, or below `least`.

    Source: as for `image_shape`.
    """
    try:
        count = int(number)
    except (TypeError, ValueError, OverflowError):
        count = least - 1
    if count != number or count < least:
        raise ValueError(f"{what} must be a whole number, at least {least}; got {number!r}.")
    return count


def scale_shapes(shape: tuple[int, int, int], num_blocks: int) -> list[tuple[int, int, int]]:
    """The sizes (H / 2^k, W / 2^k, 4^k C), k = num_blocks - i, of the whole tensor at block i.

    Args:
      shape: (H, W, C) of the image.
      num_blocks: the number of blocks.

    Returns:
      one (h, w, channels) for each block; 0 is the coarsest.

    Source: Kingma & Dhariwal 2018, section 3.6 and figure 2b.
    """
    h, w, c = shape
    return [(h // 2**(num_blocks - i), w // 2**(num_blocks - i), c * 4**(num_blocks - i))
            for i in range(num_blocks)]


def blockwise_splits_of(shape: tuple[int, int, int], num_blocks: int,
                        grab_after_block: Sequence[float] | None) -> Splits:
    """(leave, grab, pass) for each block, the coarsest first.

    From the image to the latent, k = 1..n: the tensor has 4^k C channels, of which `pass` have
    exited before; grab = floor(fraction * (4^k C - pass)) exit now. Squeezing makes four channels
    of each, so pass_{k+1} = 4 (pass_k + grab_k).

    Args:
      shape: (H, W, C) of the image.
      num_blocks: n.
      grab_after_block: n fractions, the block next to the image first; None for 1/2, ..., 1/2, 0.

    Returns:
      n triples of channel counts.

    Raises:
      ValueError: if a fraction is outside [0, 1], takes all channels though a later block needs
        some, or is too small to take a single one; names the block and the fraction.

    Source: tfp.bijectors.Glow, argument grab_after_block and property blockwise_splits.
    """
    fractions = ([0.5] * (num_blocks - 1) + [0.0] if grab_after_block is None
                 else _numbers(grab_after_block))
    if len(fractions) != num_blocks:
        raise ValueError(f"grab_after_block has {len(fractions)} fractions; there are {num_blocks} "
                         "blocks, and each needs one.")
    splits: list[tuple[int, int, int]] = []
    passed = 0
    for k, fraction in enumerate(fractions):
        remaining = 4**(k + 1) * shape[2] - passed
        _check_fraction(k, fraction, remaining, last=k == num_blocks - 1)
        grab = int(remaining * fraction)
        splits.append((remaining - grab, grab, passed))
        passed = 4 * (passed + grab)
    return tuple(splits[::-1])


def _numbers(grab_after_block: Any) -> list[float]:
    try:
        return [float(fraction) for fraction in grab_after_block]
    except (TypeError, ValueError):
        raise ValueError("grab_after_block must be a sequence of numbers, one for each block; "
                         f"got {grab_after_block!r}.") from None


def _check_fraction(k: int, fraction: float, remaining: int, last: bool) -> None:
    where = (f"grab_after_block[{k}] = {fraction} (after block {k + 1} from the image, where "
             f"{remaining} channels remain)")
    if not 0 <= fraction <= 1 or math.isnan(fraction):
        raise ValueError(f"{where} must be between 0 and 1.")
    grab = int(remaining * fraction)
    if grab == remaining and not last:
        raise ValueError(f"{where} takes all channels out and leaves none for the next block; only "
                         "the last block may do that. Use a smaller fraction.")
    if grab == 0 and fraction > 0:
        enough = math.ceil(1e6 / remaining) / 1e6  # rounded up, so that it is
        raise ValueError(f"{where} takes less than one channel out. Use 0 for none, or at least "
                         f"{enough:.6f}.")
