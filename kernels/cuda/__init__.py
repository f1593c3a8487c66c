"""Numba CUDA kernels for CuPy arrays of float32 and float64, and the functions that launch them.

Attributes:
  ACCELERATED: {name of an operation: the module here that computes it}. Each function has the name,
    parameters and results of the specification's.
"""

from __future__ import annotations

_DIRECTIONS = ("forward", "inverse", "forward_vjp", "inverse_vjp")

ACCELERATED = {
    **{f"{op}_{direction}": op for direction in _DIRECTIONS
       for op in ("expand", "activation_normalization", "normalized_conv", "scale_matvec_lu")},
    **{f"{kind}_coupling_{direction}": "coupling" for direction in _DIRECTIONS
       for kind in ("sigmoid", "exp", "shift")},
    "channel_statistics": "activation_normalization",
    "conv2d": "conv2d",
    "conv2d_vjp": "conv2d",
    "relu": "relu",
    "relu_vjp": "relu",
    "coupling_network": "coupling_network",
    "coupling_network_activations": "coupling_network",
    "coupling_network_vjp": "coupling_network",
}
