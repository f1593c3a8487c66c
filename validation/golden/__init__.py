"""Golden files: what TFP computed, kept so that comparing with it does not need TensorFlow."""

from __future__ import annotations

from importlib import resources
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load

from refglow.dtypes import Array

DTYPES = ("float64", "float32")


def photographs(shape: tuple[int, ...], dtype: Any) -> Array:
    """Four patches of real photographs, [4, *shape], scaled to [-0.5, 0.5]."""
    patches = load(_file("photographs").read_bytes())["patches"]
    height, width, _ = shape
    return (patches[:, :height, :width].astype(np.float64) / 255 - 0.5).astype(dtype)


class Golden:
    """One golden file: TFP's results for every case, in one number type."""

    def __init__(self, dtype: str) -> None:
        """Read the file for "float32" or "float64"."""
        with (resources.as_file(_file(dtype)) as path,
              safe_open(str(path), framework="numpy") as file):
            self.metadata: dict[str, str] = file.metadata()
            self._arrays = {key: file.get_tensor(key) for key in file.keys()}

    def names(self) -> set[str]:
        """The cases it holds."""
        return {key.split("/", 1)[0] for key in self._arrays}

    def state(self, case: str) -> dict[str, Array]:
        """The case's parameters by state name."""
        prefix = f"{case}/state/"
        return {key.removeprefix(prefix): array for key, array in self._arrays.items()
                if key.startswith(prefix)}

    def input(self, case: str, name: str) -> Any:
        """x or y of a case; a list for several parts."""
        if f"{case}/{name}" in self._arrays:
            return self._arrays[f"{case}/{name}"]
        parts = sum(key.startswith(f"{case}/{name}/") for key in self._arrays)
        return [self._arrays[f"{case}/{name}/{k}"] for k in range(parts)]

    def result(self, case: str, prop: str) -> Array | None:
        """What TFP computed, as one vector; None if it does not have the property."""
        return self._arrays.get(f"{case}/{prop}")


def _file(name: str) -> Any:
    return resources.files(__name__) / f"{name}.safetensors"
