"""ReLU: y = max(x, 0), elementwise.

Source: keras.activations.relu.
"""

from __future__ import annotations

from typing import Any

from refglow.dtypes import Array
from refglow.elementary import relu as relu
from refglow.networks.network import Network


class ReLU(Network):
    """The rectifier."""

    def __call__(self, x: Array) -> Array:
        """max(x, 0)."""
        return relu(x)

    def config(self) -> dict[str, Any]:
        """No arguments."""
        return {}
