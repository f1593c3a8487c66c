"""How Glow asks the user's functions for networks."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refglow.dtypes import DType
from refglow.networks.network import Network


def build_network(network_fn: Callable[..., Any], *args: Any, dtype: DType,
                  seed: np.random.Generator, owner: str, **kwargs: Any) -> Callable[..., Any]:
    """network_fn(*args, **kwargs), given Glow's dtype and seed if it has parameters of that name.

    So the default networks follow `Glow(dtype=np.float64, seed=1)`, and functions that know
    nothing of either keep working.

    Raises:
      TypeError: if it is not a function that builds networks, or what it returns cannot be called,
        or holds variables of another dtype.
    """
    if not callable(network_fn) or isinstance(network_fn, Network):
        raise TypeError(f"{owner}: expected a function that builds a network for an input shape; "
                        f"got a {type(network_fn).__name__}. Pass, for instance, "
                        "lambda input_shape, **_: my_network(input_shape).")
    offered = {"dtype": dtype, "seed": seed}
    known: Mapping[str, Any] = {}
    with contextlib.suppress(TypeError, ValueError):  # some callables have no signature to read
        known = inspect.signature(network_fn).parameters
    given = kwargs | {key: value for key, value in offered.items() if key in known}
    network: Callable[..., Any] = network_fn(*args, **given)
    if not callable(network):
        raise TypeError(f"{owner}: the function for its network returned a "
                        f"{type(network).__name__}, which cannot be called.")
    for name, variable in getattr(network, "named_variables", tuple)():
        if variable.trainable and variable.dtype != dtype:
            raise TypeError(f"{owner}: its network's variable {name!r} is {variable.dtype}, but "
                            f"the bijector computes in {dtype}. Build the network with "
                            f"dtype='{dtype}', or the bijector with dtype='{variable.dtype}'.")
    return network
