"""Glow's coupling network on a GPU: conv k x k, ReLU, conv 1 x 1, ReLU, conv k x k.

Same names, parameters and results as refglow.networks.coupling_network, for arrays on a device (see
device.py). The products are cuBLAS's; around them

    patches = gather(x)                   narrow: I channels
    h1 = relu(patches kernel1 + bias1)    bias and ReLU in place, one pass
    h2 = relu(h1 kernel2 + bias2)         likewise
    output = scatter(h2 kernel3) + bias3  narrow: O channels; the bias starts the sums

`coupling_network` takes groups of images whose activations stay below a bound, so that its memory
beside the output does not grow with the batch.
"""

from __future__ import annotations

from typing import Any

from refglow.kernels.cuda.conv2d import (
    as_images,
    conv2d_vjp,
    convolved,
    product_of_patches,
    window_of,
)
from refglow.kernels.cuda.device import Device, device_of
from refglow.kernels.cuda.layout import FLOATING, require_one_dtype, require_shape
from refglow.kernels.cuda.relu import add_bias_relu, mask

GROUP_NUMBERS = 2**26  # of one hidden layer's activations: 256 MiB in float32, or one image's


def coupling_network(x: Any, kernel1: Any, bias1: Any, kernel2: Any, bias2: Any, kernel3: Any,
                     bias3: Any) -> Any:
    """The network's output.

    Args:
      x: [..., H, W, I], float32 or float64.
      kernel1, bias1: [K, K, I, F] and [F], K odd, of that type.
      kernel2, bias2: [1, 1, F, F] and [F].
      kernel3, bias3: [K, K, F, O] and [O].

    Returns:
      [..., H, W, O].

    Raises:
      TypeError: the number types are not supported, or differ.
      ValueError: the shapes do not fit each other.
    """
    parameters = kernel1, bias1, kernel2, bias2, kernel3, bias3
    device = _checked("coupling_network", x, parameters)
    images = as_images(x)
    n, height, width, _ = images.shape
    group = max(1, GROUP_NUMBERS // max(1, height * width * len(bias1)))
    if n <= group:
        output = _activations(device, images, parameters)[0]
    else:
        output = device.xp.empty((n, height, width, len(bias3)), x.dtype)
        for first in range(0, n, group):
            part = slice(first, first + group)
            output[part] = _activations(device, images[part], parameters)[0]
    return output.reshape(*x.shape[:-1], len(bias3))


def coupling_network_activations(x: Any, kernel1: Any, bias1: Any, kernel2: Any, bias2: Any,
                                 kernel3: Any, bias3: Any) -> tuple[Any, Any, Any]:
    """(output, h1, h2): with the activations, which the gradient needs.

    Args, Raises: as for `coupling_network`.

    Returns:
      [..., H, W, O] and twice [..., H, W, F].
    """
    parameters = kernel1, bias1, kernel2, bias2, kernel3, bias3
    device = _checked("coupling_network_activations", x, parameters)
    results = _activations(device, as_images(x), parameters)
    output, h1, h2 = (array.reshape(*x.shape[:-1], array.shape[-1]) for array in results)
    return output, h1, h2


def coupling_network_vjp(x: Any, h1: Any, h2: Any, kernel1: Any, kernel2: Any, kernel3: Any,
                         output_bar: Any) -> tuple[Any, ...]:
    """(x_bar, kernel1_bar, bias1_bar, kernel2_bar, bias2_bar, kernel3_bar, bias3_bar).

    Args:
      x, kernel1, kernel2, kernel3: as for `coupling_network`.
      h1, h2: the activations, as `coupling_network_activations` returns them.
      output_bar: the cotangent of the output, [..., H, W, O].

    Returns:
      arrays of the shapes of what they belong to.

    Raises: as for `coupling_network`.
    """
    device = device_of(x, h1, h2, kernel1, kernel2, kernel3, output_bar)
    h2_bar, kernel3_bar, bias3_bar = conv2d_vjp(h2, kernel3, output_bar, "same")
    mask(device, h2, h2_bar)
    h1_bar, kernel2_bar, bias2_bar = conv2d_vjp(h1, kernel2, h2_bar, "same")
    mask(device, h1, h1_bar)
    x_bar, kernel1_bar, bias1_bar = conv2d_vjp(x, kernel1, h1_bar, "same")
    return x_bar, kernel1_bar, bias1_bar, kernel2_bar, bias2_bar, kernel3_bar, bias3_bar


def _activations(device: Device, images: Any, parameters: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """(output [N, H, W, O], h1 and h2 [N, H, W, F])."""
    kernel1, bias1, kernel2, bias2, kernel3, bias3 = parameters
    h1 = product_of_patches(device, images, kernel1, window_of(kernel1, "same"))
    add_bias_relu(device, h1, bias1)
    h2 = h1 @ kernel2[0, 0]
    add_bias_relu(device, h2, bias2)
    h1, h2 = (h.reshape(*images.shape[:3], len(bias1)) for h in (h1, h2))
    return convolved(device, h2, kernel3, window_of(kernel3, "same"), bias3), h1, h2


def _checked(op: str, x: Any, parameters: tuple[Any, ...]) -> Device:
    """The device of all arrays, once they are seen to fit each other."""
    kernel1, bias1, kernel2, bias2, kernel3, bias3 = parameters
    named = dict(x=x, kernel1=kernel1, bias1=bias1, kernel2=kernel2, bias2=bias2,
                 kernel3=kernel3, bias3=bias3)
    device = device_of(*named.values())
    require_one_dtype(op, FLOATING, **named)
    filters, outputs = kernel1.shape[3], kernel3.shape[3]
    for name, shape in {"kernel1": (*kernel1.shape[:2], x.shape[-1], filters),
                        "bias1": (filters,), "kernel2": (1, 1, filters, filters),
                        "bias2": (filters,), "bias3": (outputs,),
                        "kernel3": (*kernel3.shape[:2], filters, outputs)}.items():
        require_shape(op, name, named[name], shape)
    return device
