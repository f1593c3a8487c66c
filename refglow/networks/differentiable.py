"""What takes part in a gradient: any object that has the methods `vjp` and `jvp`.

    vjp(x) -> (output, pullback)                       reverse mode
    pullback(output_bar) -> (x_bar, param_bars)        x_bar = J_x^T output_bar, for each parameter
    jvp(x, x_dot, param_dots) -> (output, output_dot)  forward mode

`param_bars` and `param_dots` hold arrays by the names that `named_variables()` gives. A plain
callable gives values, but no gradients: there is nothing here that differentiates code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from refglow.dtypes import Array, DType, as_array
from refglow.networks.network import Network, Pullback

VJP: TypeAlias = Callable[..., tuple[Any, Pullback]]
JVP: TypeAlias = Callable[..., tuple[Any, Any]]

_SIGNATURES = {"vjp": "vjp(x) -> (output, pullback), pullback(output_bar) -> (x_bar, param_bars)",
               "jvp": "jvp(x, x_dot, param_dots) -> (output, output_dot)"}


def vjp_of(network: Any, owner: str) -> VJP:
    """The network's method `vjp`.

    Args:
      network: any object.
      owner: whose network it is, for the message.

    Raises:
      TypeError: if it has none (a plain callable), or only the one of `Network` that refuses.
    """
    method: VJP = _method(network, "vjp", owner)
    return method


def jvp_of(network: Any, owner: str) -> JVP:
    """The network's method `jvp`.

    Args, Raises: as for `vjp_of`.
    """
    method: JVP = _method(network, "jvp", owner)
    return method


def _method(network: Any, method: str, owner: str) -> Any:
    refusing = getattr(type(network), method, None) is getattr(Network, method)
    if refusing or not callable(getattr(network, method, None)):
        name = getattr(network, "__name__", type(network).__name__)
        raise TypeError(f"{owner}: its network {name!r} has no method {method}, so no gradient can "
                        f"be taken through it. Give it {_SIGNATURES[method]}, or build it from "
                        "refglow.networks' layers.")
    return getattr(network, method)


def as_shaped(value: Any, shape: tuple[int, ...], dtype: DType | None, owner: str,
              what: str) -> Array:
    """`value`, a tangent or cotangent, as an array of the shape of what it belongs to.

    Args:
      value: array-like.
      shape: the shape it must have.
      dtype: the number type that `owner` computes in.
      owner, what: who asks, and what the value is to them; used in messages only.

    Raises:
      TypeError: if it is a floating array of another type.
      ValueError: if it has another shape.
    """
    array = as_array(value, dtype, owner, what)
    if array.shape != shape:
        raise ValueError(f"{owner}: {what} must have the shape {list(shape)}; "
                         f"got {list(array.shape)}.")
    return array
