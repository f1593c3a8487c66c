"""Numba kernels for NumPy arrays of float32 and float64.

Attributes:
  ACCELERATED: {name of an operation: the module here that computes it}. Each function has the name,
    parameters and results of the specification's.
"""

from __future__ import annotations

_DIRECTIONS = ("forward", "inverse", "forward_vjp", "inverse_vjp")

ACCELERATED = {
    **{f"{op}_{direction}": op for op in ("activation_normalization", "expand", "normalized_conv",
                                          "scale_matvec_lu") for direction in _DIRECTIONS},
    **{f"{kind}_coupling_{direction}": "coupling" for kind in ("sigmoid", "exp", "shift")
       for direction in _DIRECTIONS},
    "channel_statistics": "activation_normalization",
    "conv2d": "conv2d",
    "conv2d_vjp": "conv2d",
    "coupling_network": "coupling_network",
    "coupling_network_activations": "coupling_network",
    "coupling_network_vjp": "coupling_network_gradient",
    **dict.fromkeys(("adam_update", "adamw_update", "adamax_update", "average_update",
                     "global_norm"), "optimizer"),
}
