"""A coupling computed by one function, from a network's output to the examples' log-dets.

RealNVP is written for any bijector on the mapped channels. Where that bijector is one of Glow's
three and a kernel computes the coupling of whole images with it (`coupling.py`), RealNVP has this
class do so: one pass over memory in place of a dozen.
"""

from __future__ import annotations

import math
from typing import Any

from refglow.backend import accelerated
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.coupling import (
    EXP_COUPLING,
    SHIFT_COUPLING,
    SIGMOID_COUPLING,
    CouplingOp,
)
from refglow.bijectors.glow_coupling import ExpAffine, RawAffine, SigmoidAffine
from refglow.bijectors.shift import Shift
from refglow.cotangents import Cotangents, unbroadcast
from refglow.dtypes import Array

_OPS = {SigmoidAffine: SIGMOID_COUPLING, ExpAffine: EXP_COUPLING, Shift: SHIFT_COUPLING}


class WholeImageCoupling:
    """One of Glow's couplings with the output of its network for these images."""

    def __init__(self, op: CouplingOp, bijector: Bijector, output: Array, deciding: int,
                 event_ndims: int) -> None:
        """Hold what `whole_image_coupling` found."""
        self._op, self._bijector, self._deciding = op, bijector, deciding
        self._batch_shape = output.shape[:output.ndim - event_ndims]
        self._output = self._as_examples(output)

    def values(self, forward: bool, x: Array) -> tuple[Array, Array]:
        """(result, log-det [batch...]) of the coupling's forward or inverse function."""
        specification = self._op.forward if forward else self._op.inverse
        y, log_det = self._run(specification, x)
        return y.reshape(x.shape), log_det.reshape(self._batch_shape)

    def vjp(self, forward: bool, x: Array, bar: Array, log_det_bar: Array,
            parameters: Cotangents) -> Array:
        """The input's cotangent, without what comes back through the network.

        Args:
          forward: of which function; for the inverse, x is its result.
          x: [batch..., event...].
          bar, log_det_bar: the cotangents of the results.
          parameters: takes the cotangents of the bijector's arrays.
        """
        specification = self._op.forward_vjp if forward else self._op.inverse_vjp
        per_example = unbroadcast(log_det_bar, self._batch_shape).reshape(-1)
        input_bar, output_bar = self._run(specification, x, self._as_examples(bar), per_example)
        output_bar = output_bar.reshape(*x.shape[:-1], output_bar.shape[-1])
        for stored, part in _shares(self._bijector, output_bar):
            parameters.add(stored, part)
        return input_bar.reshape(x.shape)

    def _run(self, specification: Any, x: Array, *bars: Array) -> tuple[Array, Array]:
        kernel = accelerated(specification, x, self._output) or specification
        results: tuple[Array, Array] = kernel(self._as_examples(x), self._output, self._deciding,
                                              *bars)
        return results

    def _as_examples(self, x: Array) -> Array:
        """[N, P, channels]: examples, pixels."""
        pixels = math.prod(x.shape[len(self._batch_shape):-1])
        return x.reshape(math.prod(self._batch_shape), pixels, x.shape[-1])


def whole_image_coupling(bijector: Bijector, x: Array, deciding: int,
                         event_ndims: int) -> WholeImageCoupling | None:
    """The coupling of x by `bijector` as one function, if a kernel computes it; else None.

    Args:
      bijector: what a RealNVP's bijector_fn returned.
      x: [batch..., event...], all channels.
      deciding: how many channels decide.
      event_ndims: the event rank of x.
    """
    op = _OPS.get(type(bijector))
    if op is None or deciding <= 0 or bijector.validate_args:
        return None
    output = _output_of(bijector)
    if not hasattr(output, "strides") or output.shape[:-1] != x.shape[:-1]:
        return None
    mapped = x.shape[-1] - deciding
    if output.shape[-1] != (mapped if isinstance(bijector, Shift) else 2 * mapped):
        return None
    if accelerated(op.forward, x, output) is None:
        return None
    return WholeImageCoupling(op, bijector, output, deciding, event_ndims)


def _output_of(bijector: Any) -> Any:
    """The network's output that one of Glow's bijectors holds, if it is an array."""
    return bijector.output if isinstance(bijector, RawAffine) else bijector._shift


def _shares(bijector: Any, output_bar: Array) -> list[tuple[Any, Array]]:
    """(array of the bijector, its cotangent) for each part of the network's output."""
    if isinstance(bijector, Shift):
        return [(bijector._shift, output_bar)]
    mapped = output_bar.shape[-1] // 2
    return [(bijector._raw_scale, output_bar[..., :mapped]),
            (bijector._shift, output_bar[..., mapped:])]
