"""The cases of `refglow bench cpu`: each function's specification ("spec") and CPU kernel ("cpu").

The functions of the flow move much and compute little; their standard size is larger than any
cache. The networks' are matrix products; their standard size is the first level of a Glow for 8
CIFAR images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refglow.backend import accelerated, use_backend
from refglow.kernels.bench.records import Case
from refglow.validation.bench.flow_cases import (
    actnorm_cases,
    coupling_cases,
    matrix_cases,
    squeeze_cases,
)
from refglow.validation.bench.network_cases import (
    adam_cases,
    conv2d_cases,
    coupling_network_cases,
    relu_cases,
)
from refglow.validation.bench.size import Size

LARGE, LEVEL = Size(64, 64, 64, 12), Size(8, 16, 16, 12)
Maker = Callable[[Size, str], Iterator[Case]]
# op -> (who makes its cases, its standard size)
OPS: dict[str, tuple[Maker, Size]] = {
    "squeeze": (squeeze_cases, LARGE), "unsqueeze": (squeeze_cases, LARGE),
    "coupling": (coupling_cases, LARGE), "actnorm": (actnorm_cases, LARGE),
    "normalized_conv": (matrix_cases, LARGE), "one_by_one_conv": (matrix_cases, LARGE),
    "conv2d": (conv2d_cases, LEVEL), "relu": (relu_cases, LEVEL),
    "coupling_network": (coupling_network_cases, LEVEL), "adam": (adam_cases, LARGE)}


def cases(ops: Iterable[str], dtype: str, sizes: Sequence[Size] = ()) -> list[Case]:
    """The cases of these ops, with the specification as their only variant.

    Args:
      ops: names in OPS.
      dtype: float32 or float64.
      sizes: of the images; by default each op's standard size.

    Raises:
      ValueError: if an op is unknown; names those that there are.
    """
    wanted = list(dict.fromkeys(ops))
    unknown = [op for op in wanted if op not in OPS]
    if unknown:
        raise ValueError(f"There is no op {', '.join(unknown)}; there are: {', '.join(OPS)}.")
    return [case for op in wanted for size in (sizes or (OPS[op][1],))
            for case in OPS[op][0](size, dtype) if case.op == op]


def cpu_cases(ops: Iterable[str], dtype: str, sizes: Sequence[Size] = ()) -> list[Case]:
    """As `cases`, with the CPU kernel as second variant where there is one."""
    return [replace(case, variants={**case.variants, **_kernels(case)})
            for case in cases(ops, dtype, sizes)]


def _kernels(case: Case) -> dict[str, Callable[..., Any]]:
    """What refglow computes the case's specification with under backend "cpu"."""
    with use_backend("cpu"):
        kernel = accelerated(case.specification, np.zeros(0, case.dtype))
    return {} if kernel is None else {"cpu": kernel}
