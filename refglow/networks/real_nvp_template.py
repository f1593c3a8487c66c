"""real_nvp_default_template: a fully connected network for RealNVP's shift and log-scale.

Its input size is known only when it is first called, so its layers are built then.

Source: tfp.bijectors.real_nvp_default_template.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import relu
from refglow.networks.dense import Dense
from refglow.variable import Variable


class RealNVPTemplate:
    """A callable (x0, output_units) -> (shift, log_scale) with layers built at the first call."""

    def __init__(self, hidden_layers: Sequence[int], shift_only: bool,
                 activation: Callable[[Array], Array] | None,
                 seed: int | np.random.Generator | None) -> None:
        """See `real_nvp_default_template`."""
        self._hidden_layers = [int(units) for units in hidden_layers]
        self._shift_only = shift_only
        self._activation = activation
        self._rng = np.random.default_rng(seed)
        self._layers: list[Dense] = []

    def __call__(self, x: Array, output_units: int,
                 **condition_kwargs: Any) -> tuple[Array, Array | None]:
        """(shift, log_scale) for the mapped units; log_scale is None if shift_only.

        Raises:
          NotImplementedError: if conditioning arguments are given; write your own function then.
          ValueError: if it was first called for another number of inputs or outputs.
        """
        if condition_kwargs:
            raise NotImplementedError(
                "real_nvp_default_template takes no conditioning arguments; got "
                f"{sorted(condition_kwargs)}. Pass a function of your own that does.")
        outputs = int(output_units) * (1 if self._shift_only else 2)
        if not self._layers:
            self._build(x, outputs)
        if self._layers[-1].bias.size != outputs:
            raise ValueError(f"This network was built for {self._layers[-1].bias.size} outputs; "
                             f"{outputs} are asked of it.")
        for layer in self._layers[:-1]:
            x = layer(x)
            x = x if self._activation is None else self._activation(x)
        y = self._layers[-1](x)
        if self._shift_only:
            return y, None
        shift, log_scale = np.split(y, 2, axis=-1)
        return shift, log_scale

    def _build(self, x: Array, outputs: int) -> None:
        dtype = x.real.dtype if x.dtype.kind == "c" else x.dtype
        sizes = [x.shape[-1], *self._hidden_layers, outputs]
        self._layers = [Dense(i, o, self._rng, dtype)
                        for i, o in itertools.pairwise(sizes)]

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """The layers' parameters, named dense0, dense1, ...; none before the first call."""
        for k, layer in enumerate(self._layers):
            for name, variable in layer.named_variables():
                yield f"dense{k}.{name}", variable


def real_nvp_default_template(hidden_layers: Sequence[int] = (512, 512), shift_only: bool = False,
                              activation: Callable[[Array], Array] | None = relu,
                              name: str = "real_nvp_default_template",
                              seed: int | np.random.Generator | None = None) -> RealNVPTemplate:
    """A fully connected network for RealNVP's `shift_and_log_scale_fn`.

    Args:
      hidden_layers: the numbers of units in the hidden layers.
      shift_only: whether it returns (shift, None), for an additive coupling (NICE).
      activation: the hidden layers' activation; None for none.
      name: unused; TFP's name for the operation.
      seed: int or NumPy Generator for the start (glorot_uniform kernels, zero biases).
    """
    return RealNVPTemplate(hidden_layers, shift_only, activation, seed)
