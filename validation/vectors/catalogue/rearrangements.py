"""Maps that only move numbers: whatever index is wrong, a number stands elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refglow.validation.vectors.draws import points
from refglow.validation.vectors.vector import Vector

_TRANSPOSES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((1, 0), (3, 4)), ((2, 0, 1), (3, 4, 5)), ((1, 2, 0), (3, 4, 5)), ((0, 2, 1), (3, 4, 5)),
    ((2, 1, 0), (3, 4, 5)), ((0, 3, 1, 2), (2, 3, 4, 5)))
_SQUEEZED = ("SpaceToDepth", "SqueezeAxes", "FlattenNCHW")


def _squeezes() -> Iterator[Vector]:
    sizes = [(h, w, c) for h, w in ((2, 2), (2, 4), (4, 2), (4, 6), (6, 10), (8, 8), (2, 6))
             for c in (1, 2, 3, 4, 6, 12)]
    for h, w, c in sizes:
        flags = _SQUEEZED if c > 1 else ("SqueezeAxes", "SingleChannel")
        yield Vector(f"squeeze-{h}x{w}x{c}", "Squeeze",
                     {"input_shape": [h, w, c], "block_size": 2}, (2,), (h, w, c), flags,
                     "Tiles of 2 x 2 pixels become channels.")
    for h, w, c, block in ((3, 3, 1, 3), (3, 6, 2, 3), (6, 3, 2, 3), (4, 8, 3, 4), (5, 5, 2, 5)):
        yield Vector(f"squeeze-{h}x{w}x{c}-by-{block}", "Squeeze",
                     {"input_shape": [h, w, c], "block_size": block}, (2,), (h, w, c),
                     _SQUEEZED if c > 1 else ("SqueezeAxes", "SingleChannel"),
                     f"Tiles of {block} x {block} pixels.")
    counted = points(range(96))
    yield Vector("squeeze-counted", "Squeeze", {"input_shape": [4, 6, 4], "block_size": 2}, (),
                 (4, 6, 4), _SQUEEZED, "0, 1, 2, ...: every number says where it was.", counted)
    yield Vector("squeeze-twice", "Chain", {"parts": [
        {"operation": "Squeeze", "arguments": {"input_shape": [2, 3, 8], "block_size": 1}},
        {"operation": "Squeeze", "arguments": {"input_shape": [4, 6, 2], "block_size": 2}}]},
        (1,), (4, 6, 2), _SQUEEZED, "Squeezed, then by tiles of one pixel, which change nothing.")


def _expansions() -> Iterator[Vector]:
    for h, w, c, block in ((1, 1, 4, 2), (2, 3, 4, 2), (3, 2, 12, 2), (2, 1, 9, 3), (1, 2, 32, 4)):
        flags = _SQUEEZED if c > block**2 else ("SqueezeAxes", "SingleChannel")
        yield Vector(f"expand-{h}x{w}x{c}-by-{block}", "Expand",
                     {"input_shape": [h, w, c], "block_size": block}, (2,), (h, w, c), flags,
                     f"Channels become tiles of {block} x {block} pixels.")


def _splits() -> Iterator[Vector]:
    for label, sizes, axis, shape in (("sizes", [2, 1, 4], -1, (3, 7)), ("halves", 2, -1, (6,)),
                                      ("rest", [1, -1, 2], -2, (6, 2))):
        yield Vector(f"split-{label}", "Split", {"num_or_size_splits": sizes, "axis": axis}, (2,),
                     shape, ("PartOrder",), f"Pieces of the sizes {sizes} along dimension {axis}.")


def _others() -> Iterator[Vector]:
    for channels in (3, 4, 7, 16):
        yield Vector(f"permute-{channels}", "Permute", {"channels": channels, "axis": -1}, (2,),
                     (3, channels), ("PermutationInverse",),
                     "A permutation that is not its own inverse.")
    yield Vector("permute-rows", "Permute", {"channels": 5, "axis": -2}, (2,), (5, 3),
                 ("PermutationInverse",), "Along the last dimension but one.")
    for perm, shape in _TRANSPOSES:
        own_inverse = list(np.argsort(perm)) == list(perm)
        yield Vector(f"transpose-{''.join(map(str, perm))}", "Transpose", {"perm": list(perm)},
                     (2,), shape, ("FlattenNCHW",) if own_inverse else
                     ("FlattenNCHW", "PermutationInverse"), "All sizes differ.")
    for label, out, into in (("flat", [24], [2, 3, 4]), ("image", [2, 3, 4], [24]),
                             ("other", [4, 6], [3, 8]), ("guessed", [6, -1], [3, 4])):
        yield Vector(f"reshape-{label}", "Reshape",
                     {"event_shape_out": out, "event_shape_in": into}, (2,), tuple(into),
                     ("FlattenNCHW",),
                     "Row by row, the last dimension fastest.")
    for label, paddings in (("one-side", [[0, 2]]), ("both", [[1, 2], [0, 3]]),
                            ("none", [[0, 0], [1, 1]])):
        yield Vector(f"pad-{label}", "Pad", {"paddings": paddings, "constant_values": 0.5}, (2,),
                     (3, 4), ("PaddingValue",), "Padded with 0.5, another number on each side.")


REARRANGEMENTS: tuple[Vector, ...] = (
    *_squeezes(), *_expansions(), *_splits(), *_others())
