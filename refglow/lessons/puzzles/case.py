"""A case of a puzzle: a launch and what is to come of it; and what a known mistake makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.kernels.cuda.launch_shape import blocks_for

Numbers = Mapping[str, Array]
Sizes = tuple[int, int, int]  # of a grid or block, x first


@dataclass(frozen=True)
class Case:
    """A launch, and what is to come of it.

    Attributes:
        arguments: of the kernel, in their order: inputs, then results, then sizes. A result that
            holds no numbers yet is NaN throughout.
        expected: the results, by name, by the specification.
        grid, block: blocks, and threads of a block, x first.
    """

    arguments: Mapping[str, Any]
    expected: Numbers
    grid: Sizes
    block: Sizes

    def __str__(self) -> str:
        lines = [f"grid {_three(self.grid)}, block {_three(self.block)}"]
        for name, value in self.arguments.items():
            if name not in self.expected:
                lines.append(_shown(f"{name} = ", value))
        for name, value in self.expected.items():
            lines.append(_shown(f"{name} must become ", value))
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def blank(self) -> list[str]:
        """The names of the results that hold no numbers yet."""
        return [name for name in self.expected if np.isnan(self.arguments[name]).all()]

    def fresh(self) -> dict[str, Any]:
        """The arguments, arrays copied."""
        return {name: value.copy() if isinstance(value, np.ndarray) else value
                for name, value in self.arguments.items()}


def blank(*shape: int) -> Array:
    """An array for a result, which holds no numbers yet."""
    return np.full(shape, np.nan, np.float32)


def a_thread_for_each(count: int, threads: int) -> tuple[Sizes, Sizes]:
    """(grid, block): so many blocks of that many threads that each of `count` things has one."""
    return (blocks_for(count, threads), 1, 1), (threads, 1, 1)


def drawn(rng: np.random.Generator, *shape: int) -> Array:
    """Normal random numbers in float32."""
    return rng.standard_normal(shape, dtype=np.float32)


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that is known: what it gives, and what to say to it.

    Attributes:
        says: the sentence.
        gives: the results that one gets with it, from the case's arguments by name.
    """

    says: str
    gives: Callable[..., Numbers]


def _shown(head: str, value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return f"{head}{value}"
    return head + np.array2string(value, precision=4, suppress_small=True, threshold=60,
                                  prefix=head)


def _three(shape: Sizes) -> str:
    used = shape[:1] if shape[1:] == (1, 1) else shape[:2] if shape[2] == 1 else shape
    return " x ".join(map(str, used))
