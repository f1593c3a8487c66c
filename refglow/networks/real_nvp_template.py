"""real_nvp_default_template: a fully connected network for RealNVP's shift and log-scale.

Its input size is known only when it is first called, so its layers are built then.

Source: tfp.bijectors.real_nvp_default_template.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from refglow.dtypes import Array
from refglow.elementary import relu
from refglow.networks.dense import Dense
from refglow.networks.differentiable import as_shaped
from refglow.networks.relu import ReLU
from refglow.networks.sequential import Sequential
from refglow.variable import Variable

Pair: TypeAlias = tuple[Array, Array | None]
PairPullback: TypeAlias = Callable[[tuple[Any, Any]], tuple[Array, dict[str, Array]]]

_OWNER = "real_nvp_default_template"


class RealNVPTemplate:
    """A callable (x0, output_units) -> (shift, log_scale) with layers built at the first call."""

    def __init__(self, hidden_layers: Sequence[int], shift_only: bool,
                 activation: Callable[[Array], Array] | None,
                 seed: int | np.random.Generator | None) -> None:
        """See `real_nvp_default_template`."""
        self._hidden_layers = [int(units) for units in hidden_layers]
        self._shift_only = shift_only
        self._activation: Any = ReLU() if activation is relu else activation
        self._rng = np.random.default_rng(seed)
        self._network: Sequential | None = None

    def __call__(self, x: Array, output_units: int, **condition_kwargs: Any) -> Pair:
        """(shift, log_scale) for the mapped units; log_scale is None if shift_only.

        Raises:
          NotImplementedError: if conditioning arguments are given; write your own function then.
          ValueError: if it was first called for another number of inputs or outputs.
        """
        return self._pair(self._network_for(x, output_units, condition_kwargs)(x))

    def vjp(self, x: Array, output_units: int,
            **condition_kwargs: Any) -> tuple[Pair, PairPullback]:
        """((shift, log_scale), pullback); the pullback takes the pair of their cotangents.

        Args:
          x: [..., D].
          output_units: the number of mapped units, U.
          **condition_kwargs: none is allowed.

        Returns:
          the pair, as a call gives it, and pullback((shift_bar, log_scale_bar)) -> (x_bar,
          param_bars), as for Network. log_scale_bar may be None, for zeros.

        Raises:
          TypeError: if the activation is a plain callable other than `relu`.
          NotImplementedError, ValueError: as for a call.
        """
        y, network_pullback = self._network_for(x, output_units, condition_kwargs).vjp(x)
        shift, log_scale = self._pair(y)
        shape, dtype = shift.shape, _real_dtype(shift)

        def pullback(pair_bar: tuple[Any, Any]) -> tuple[Array, dict[str, Array]]:
            shift_bar, log_scale_bar = pair_bar
            y_bar = as_shaped(shift_bar, shape, dtype, _OWNER, "shift_bar")
            if self._shift_only and log_scale_bar is not None:
                raise ValueError(f"{_OWNER}: it returns no log_scale, so log_scale_bar must be "
                                 "None.")
            if not self._shift_only:
                second = (np.zeros_like(y_bar) if log_scale_bar is None else
                          as_shaped(log_scale_bar, shape, dtype, _OWNER, "log_scale_bar"))
                y_bar = np.concatenate([y_bar, second], axis=-1)
            return network_pullback(y_bar)
        return (shift, log_scale), pullback

    def jvp(self, x: Array, output_units: int, x_dot: Array,
            param_dots: Mapping[str, Any] | None = None,
            **condition_kwargs: Any) -> tuple[Pair, Pair]:
        """((shift, log_scale), (shift_dot, log_scale_dot)).

        Args:
          x, output_units, **condition_kwargs: as for `vjp`.
          x_dot, param_dots: as for Network.

        Raises:
          TypeError, NotImplementedError, ValueError: as for `vjp`.
        """
        network = self._network_for(x, output_units, condition_kwargs)
        y, y_dot = network.jvp(x, x_dot, param_dots)
        return self._pair(y), self._pair(y_dot)

    @property
    def network(self) -> Sequential | None:
        """The layers; None before they are built."""
        return self._network

    def _pair(self, y: Array) -> Pair:
        if self._shift_only:
            return y, None
        shift, log_scale = np.split(y, 2, axis=-1)
        return shift, log_scale

    def _network_for(self, x: Array, output_units: int,
                     condition_kwargs: Mapping[str, Any]) -> Sequential:
        """The network, built if this is the first call; checked against what is asked of it."""
        if condition_kwargs:
            raise NotImplementedError(
                f"{_OWNER} takes no conditioning arguments; got {sorted(condition_kwargs)}. Pass a "
                "function of your own that does.")
        outputs = self._outputs(output_units)
        if self._network is None:
            self.build(x.shape[-1], output_units, _real_dtype(x))
        assert self._network is not None
        built_for = list(self._network.layers.values())[-1].bias.size
        if built_for != outputs:
            raise ValueError(f"This network was built for {built_for} outputs; {outputs} are asked "
                             "of it.")
        return self._network

    def build(self, in_features: int, output_units: int, dtype: npt.DTypeLike) -> None:
        """Make the layers, with new random weights; the first call does it if nobody has.

        Args:
          in_features: D, the number of inputs.
          output_units: the number of mapped units.
          dtype: the number type. (The first call takes its input's; of a complex input, which is
            one that a real function is differentiated by, the real one.)
        """
        sizes = [in_features, *self._hidden_layers, self._outputs(output_units)]
        layers: dict[str, Any] = {}
        for k, (inputs, units) in enumerate(itertools.pairwise(sizes)):
            if k > 0 and self._activation is not None:
                layers[f"activation{k - 1}"] = self._activation
            layers[f"dense{k}"] = Dense(inputs, units, self._rng, dtype)
        self._network = Sequential(layers)

    def _outputs(self, output_units: int) -> int:
        return int(output_units) * (1 if self._shift_only else 2)

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """The layers' parameters, named dense0, dense1, ...; none before the first call."""
        yield from () if self._network is None else self._network.named_variables()


def _real_dtype(x: Array) -> np.dtype[Any]:
    return x.real.dtype if x.dtype.kind == "c" else x.dtype


def real_nvp_default_template(hidden_layers: Sequence[int] = (512, 512), shift_only: bool = False,
                              activation: Callable[[Array], Array] | None = relu,
                              name: str = "real_nvp_default_template",
                              seed: int | np.random.Generator | None = None) -> RealNVPTemplate:
    """A fully connected network for RealNVP's `shift_and_log_scale_fn`.

    Args:
      hidden_layers: the numbers of units in the hidden layers.
      shift_only: whether it returns (shift, None), for an additive coupling (NICE).
      activation: the hidden layers' activation; None for none. For gradients it must be
        `relu` or an object with the methods `vjp` and `jvp` (a Network).
      name: unused; TFP's name for the operation.
      seed: int or NumPy Generator for the start (glorot_uniform kernels, zero biases).

    Returns:
      the network, a callable (x0, output_units) -> (shift, log_scale).
    """
    return RealNVPTemplate(hidden_layers, shift_only, activation, seed)
