"""Every CUDA kernel there is, found by watching what the variants' examples launch.

    variants()                             the records of all ops
    launches(variant, "realistic", "float32")
    compilations()                         each kernel once for each signature that occurs

A new op's file joins by its name in _MODULES; nothing else lists kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.kernel import Kernel, Launch, Size, Variant
from refglow.kernels.cuda.signature import signature_of
from refglow.kernels.cuda.stand_ins import RecordingDevice

_MODULES = ("squeeze_variants", "coupling_variants", "activation_normalization",
            "one_by_one_conv_variants", "network_variants")


@dataclass(frozen=True)
class Compilation:
    """A kernel with one signature, and a launch in which it occurs.

    Attributes:
      kernel: what is compiled.
      signature: the Numba types of its arguments.
      dtype: the number type it works on: that of the example in which it occurs, or "float64" if
        the op hands it float64 arrays all the same, for the sake of accuracy.
      launch: of that example.
      used_by: "op, variant" of all examples that launch it so.
    """

    kernel: Kernel
    signature: tuple[Any, ...]
    dtype: str
    launch: Launch
    used_by: tuple[str, ...]


def variants() -> tuple[Variant, ...]:
    """The records of all ops and their variants."""
    found: list[Variant] = []
    for name in _MODULES:
        found += import_module(f"refglow.kernels.cuda.{name}").VARIANTS
    return tuple(found)


def launches(variant: Variant, size: Size, dtype: str) -> tuple[Launch, ...]:
    """What a variant launches for its example, in that order; nothing is run.

    Args:
      variant: which.
      size: of the example.
      dtype: one of the variant's number types.
    """
    arguments = variant.example(size, dtype)
    with stand_in(RecordingDevice()) as device, np.errstate(all="ignore"):
        variant.run(*arguments)
    return tuple(device.launches)


def compilations(chosen: Sequence[Variant] | None = None) -> tuple[Compilation, ...]:
    """Each kernel of these variants once for each signature that its realistic examples launch.

    Args:
      chosen: which variants; None takes all.
    """
    found: dict[tuple[Kernel, tuple[Any, ...]], tuple[str, Launch, list[str]]] = {}
    for variant in variants() if chosen is None else chosen:
        for dtype in variant.dtypes:
            for launch in launches(variant, "realistic", dtype):
                key = launch.kernel, signature_of(launch.arguments)
                users = found.setdefault(key, (dtype, launch, []))[2]
                user = f"{variant.op}, {variant.name}"
                if user not in users:
                    users.append(user)
    return tuple(
        Compilation(kernel, signature, _works_on(launch, dtype), launch, tuple(users))
        for (kernel, signature), (dtype, launch, users) in found.items())


def _works_on(launch: Launch, dtype: str) -> str:
    arrays = [argument.dtype.name for argument in launch.arguments
              if isinstance(argument, np.ndarray)]
    return "float64" if "float64" in arrays else dtype
