"""Glow's coupling network as one function: conv k x k, ReLU, conv 1 x 1, ReLU, conv k x k.

    h1 = relu(conv(x, kernel1) + bias1)
    h2 = relu(conv(h1, kernel2) + bias2)          kernel2 is 1 x 1
    output = conv(h2, kernel3) + bias3

All with 'same' padding. Nearly all of Glow's arithmetic is here, and as one function it can be
computed one tile of pixels after the other, with h1 and h2 never leaving the cache.

Source: Kingma & Dhariwal 2018, section 3.3; tfp.bijectors.GlowDefaultNetwork.
"""

from __future__ import annotations

from refglow.dtypes import Array
from refglow.elementary import relu
from refglow.networks.conv2d import conv2d
from refglow.networks.conv2d_gradient import conv2d_vjp
from refglow.networks.relu import relu_vjp


def coupling_network(x: Array, kernel1: Array, bias1: Array, kernel2: Array, bias2: Array,
                     kernel3: Array, bias3: Array) -> Array:
    """The output defined above.

    Args:
      x: [..., H, W, I], any number type.
      kernel1, bias1: [K, K, I, F] and [F], K odd.
      kernel2, bias2: [1, 1, F, F] and [F].
      kernel3, bias3: [K, K, F, O] and [O].

    Returns:
      [..., H, W, O].

    Source: as the module.
    """
    return coupling_network_activations(x, kernel1, bias1, kernel2, bias2, kernel3, bias3)[0]


def coupling_network_activations(x: Array, kernel1: Array, bias1: Array, kernel2: Array,
                                 bias2: Array, kernel3: Array, bias3: Array
                                 ) -> tuple[Array, Array, Array]:
    """(output, h1, h2): with the activations, which the gradient needs.

    Args: as for `coupling_network`.

    Returns:
      [..., H, W, O] and twice [..., H, W, F].

    Source: as the module.
    """
    h1 = relu(conv2d(x, kernel1, bias1, "same"))
    h2 = relu(conv2d(h1, kernel2, bias2, "same"))
    return conv2d(h2, kernel3, bias3, "same"), h1, h2


def coupling_network_vjp(x: Array, h1: Array, h2: Array, kernel1: Array, kernel2: Array,
                         kernel3: Array, output_bar: Array) -> tuple[Array, ...]:
    """(x_bar, kernel1_bar, bias1_bar, kernel2_bar, bias2_bar, kernel3_bar, bias3_bar).

    Args:
      x, kernel1, kernel2, kernel3: as for `coupling_network`.
      h1, h2: the activations, as `coupling_network_activations` returns them.
      output_bar: the cotangent of the output, [..., H, W, O].

    Returns:
      arrays of the shapes of what they belong to.

    Source: the chain rule; the parts are derived in conv2d_gradient.py and relu.py.
    """
    h2_bar, kernel3_bar, bias3_bar = conv2d_vjp(h2, kernel3, output_bar, "same")
    h1_bar, kernel2_bar, bias2_bar = conv2d_vjp(h1, kernel2, relu_vjp(h2, h2_bar), "same")
    x_bar, kernel1_bar, bias1_bar = conv2d_vjp(x, kernel1, relu_vjp(h1, h1_bar), "same")
    return x_bar, kernel1_bar, bias1_bar, kernel2_bar, bias2_bar, kernel3_bar, bias3_bar
