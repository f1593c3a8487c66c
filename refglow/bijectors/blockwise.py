"""Blockwise: different bijectors on consecutive blocks of the last dimension.

    forward   y = [f_0(x_0), f_1(x_1), ...],  x = [x_0, x_1, ...] split into blocks
    fldj = fldj_0(x_0) + fldj_1(x_1) + ...         the Jacobian is block diagonal

It is Chain([join, JointMap(bijectors), Split(block_sizes)]).

Source: tfp.bijectors.Blockwise.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from refglow.bijectors.bijector import Bijector, checked_bijectors
from refglow.bijectors.chain import Chain
from refglow.bijectors.composition import Composition, Step
from refglow.bijectors.invert import Invert
from refglow.bijectors.joint_map import JointMap
from refglow.bijectors.split import Split
from refglow.structure import is_nested


class Blockwise(Composition):
    """Applies bijectors of scalars or vectors to blocks of a vector."""

    def __init__(self, bijectors: Sequence[Bijector], block_sizes: Any = None,
                 validate_args: bool = False, maybe_changes_size: bool = True,
                 name: str | None = None) -> None:
        """Build it.

        Args:
          bijectors: one for each block; they act on events of at most one dimension and keep
            their rank.
          block_sizes: ints, one for each bijector; by default all 1.
          validate_args: whether to check values.
          maybe_changes_size: kept for TFP's signature; sizes are always known here.
          name: by default "blockwise_of_" and the parts' names, joined by "_and_".

        Raises:
          TypeError: if a part is not a bijector, or a size not an integer.
          ValueError: if the lists differ in length, or a bijector is not as above.
        """
        parts = checked_bijectors(bijectors, "Blockwise")
        sizes = [1] * len(parts) if block_sizes is None else list(map(operator.index, block_sizes))
        if len(sizes) != len(parts):
            raise ValueError(f"Blockwise: {len(parts)} bijectors need as many block_sizes; "
                             f"got {sizes}.")
        for part in parts:
            _check_part(part)
        self._joint = JointMap(parts, name="jointmap")
        self._split = Split(sizes, name="split")
        self._join = Invert(Split(_sizes_after(parts, sizes), name="isplit"), name="concat")
        super().__init__(
            Chain([self._join, self._joint, self._split]), validate_args=validate_args,
            validate_event_size=True, members={str(i): part for i, part in enumerate(parts)},
            name=name or "blockwise_of_" + "_and_".join(part.name for part in parts),
            parameters=dict(bijectors=parts, block_sizes=block_sizes, validate_args=validate_args,
                            maybe_changes_size=maybe_changes_size, name=name))

    @property
    def bijectors(self) -> list[Bijector]:
        """The bijectors, one for each block."""
        return list(self._joint.bijectors)

    @property
    def block_sizes(self) -> list[int]:
        """The sizes of the input's blocks."""
        return self._split.split_sizes or []

    @property
    def inverse_block_sizes(self) -> list[int]:
        """The sizes of the output's blocks."""
        return self._join.bijector.parameters["num_or_size_splits"]  # type: ignore[no-any-return]

    def _walk_forward(self, step: Step, x: Any, **kwargs: Any) -> Any:
        return self._bijectors._walk_forward(step, x, **({"jointmap": kwargs} if kwargs else {}))

    def _walk_inverse(self, step: Step, y: Any, **kwargs: Any) -> Any:
        return self._bijectors._walk_inverse(step, y, **({"jointmap": kwargs} if kwargs else {}))


def _check_part(part: Bijector) -> None:
    ndims = part.forward_min_event_ndims, part.inverse_min_event_ndims
    if any(is_nested(n) for n in ndims):
        raise ValueError(f"Blockwise: {part.name} has several inputs or outputs.")
    if ndims[0] != ndims[1] or ndims[0] > 1:
        raise ValueError(f"Blockwise: {part.name} acts on events of {ndims[0]} dimensions and "
                         f"gives {ndims[1]}; only scalar and vector bijectors that keep the rank "
                         "fit.")


def _sizes_after(parts: list[Bijector], sizes: list[int]) -> list[int]:
    """The blocks' sizes in the output."""
    return [part.forward_event_shape((size,))[0] for part, size in zip(parts, sizes, strict=True)]
