"""What `check_gradients` differentiates: a function of structures, as one of lists of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array, DType, as_array
from refglow.structure import iterate, map_structure
from refglow.validation.directional import Derivative, Method, choose_method, representable
from refglow.validation.gradient_report import NUDGE

_STRETCH = 1.7


class Subject:
    """f as a function of a list of arrays, where it is differentiated, and how."""

    def __init__(self, f: Callable[[Any], Any], x: Any, rng: np.random.Generator) -> None:
        """Evaluate f at x and choose how to differentiate it; see `check_gradients`."""
        self.inputs = leaves_of(x, "x")
        wrong = {path: leaf.dtype for path, leaf in self.inputs.items()
                 if leaf.dtype.kind not in "fiub"}
        if wrong:
            raise TypeError(f"check_gradients: x must hold real arrays; got {wrong}.")
        self.names = [path for path, leaf in self.inputs.items() if leaf.dtype.kind == "f"]
        if not any(self.inputs[name].size for name in self.names):
            raise ValueError("check_gradients: x holds no floating numbers to differentiate in.")
        self.f, self.x, self.rng = f, x, rng
        self.arrays = list(self.inputs.values())
        self.copies = [leaf.copy() for leaf in self.arrays]
        self.y = f(x)
        self.outputs = leaves_of(self.y, "y")
        for path, leaf in self.outputs.items():
            if not np.isfinite(leaf).all():
                raise ValueError(f"check_gradients: f(x) is not finite in {path}; choose an x "
                                 "where it is.")
        self.method: Method = choose_method(
            self.flat, self.arrays, [self.along(name, self.random(name)) for name in self.names])

    def flat(self, arrays: Sequence[Array]) -> list[Array]:
        """f from a list of arrays to a list of arrays."""
        return list(leaves_of(self.f(packed(self.x, arrays)), "y").values())

    def along(self, name: str, direction: Array) -> list[Array]:
        """The direction in which one array moves and the others stand still."""
        return [direction if path == name else np.zeros(leaf.shape)
                for path, leaf in self.inputs.items()]

    def sizes(self, name: str) -> Array:
        """How far each number of an array may move: its own size, at least a tenth of the max."""
        leaf = np.abs(self.inputs[name].astype(np.float64))
        largest = leaf.max(initial=0.0)
        return np.asarray(leaf + 0.1 * largest if largest else np.ones(leaf.shape))

    def random(self, name: str) -> Array:
        """A random direction of one array, relative to its numbers' sizes."""
        sizes = self.sizes(name)
        return representable(self.inputs[name], self.rng.standard_normal(sizes.shape) * sizes)

    def derivative(self, direction: Sequence[Array]) -> Derivative:
        """J v at x."""
        return self.method.along(self.arrays, direction)

    def nearby(self, direction: Sequence[Array]) -> Derivative:
        """J v again, at x moved by `NUDGE` of itself and from a stretched v.

        It shows how much the derivative itself moves; what is only rounding changes altogether.
        Where J v is not exact it is the same J v: rounding would show only itself.
        """
        if not self.method.exact:
            return self.derivative(direction)
        moved = [leaf * (1 + NUDGE * self.rng.standard_normal(leaf.shape))
                 if leaf.dtype.kind == "f" else leaf for leaf in self.arrays]
        stretched = self.method.along(moved, [_STRETCH * v for v in direction])
        return Derivative([value / _STRETCH for value in stretched.values], stretched.errors)

    def dtype(self, name: str) -> DType:
        """The least precise number type that a gradient with respect to an array depends on."""
        types = [self.inputs[name].dtype, self.method.dtype,
                 *(y.dtype for y in self.outputs.values() if y.dtype.kind == "f")]
        return max(types, key=lambda d: float(np.finfo(d).eps))

    def cotangents(self) -> Iterator[tuple[str, list[Array]]]:
        """(which arrays of y, random cotangents): of all of them, and of each alone."""
        random = [np.asarray(self.rng.standard_normal(y.shape) if y.dtype.kind == "f"
                             else np.zeros(y.shape), dtype=y.dtype) for y in self.outputs.values()]
        yield "gradient", random
        for k, path in enumerate(self.outputs):
            if len(random) > 1:
                yield f"gradient of {path}", [w if j == k else np.zeros_like(w)
                                              for j, w in enumerate(random)]


def leaves_of(structure: Any, what: str) -> dict[str, Array]:
    """{dotted path: array}; the path of an array alone is `what`.

    Raises:
      TypeError: for a leaf that is no array of numbers.
    """
    leaves = {path or what: leaf if isinstance(leaf, np.ndarray) else _as_array(leaf, path or what)
              for path, leaf in iterate(structure)}
    for path, leaf in leaves.items():
        if leaf.dtype.kind not in "biufc":
            raise TypeError(f"check_gradients: {path} must hold numbers; it is {leaf.dtype}.")
    return leaves


def _as_array(leaf: Any, what: str) -> Array:
    """A number or a framework's array; Python's floats are float64."""
    if isinstance(leaf, (np.generic, int, float, complex)):
        return np.asarray(leaf)
    return as_array(leaf, None, "check_gradients", what)


def leaves_or_none(structure: Any, what: str) -> dict[str, Any]:
    """The same, None where there is none."""
    return {path or what: None if leaf is None else leaves_of(leaf, path or what)[path or what]
            for path, leaf in iterate(structure)}


def packed(like: Any, arrays: Sequence[Any]) -> Any:
    """The arrays in the structure of `like`."""
    remaining = iter(arrays)
    return map_structure(like, lambda _: next(remaining), like)
