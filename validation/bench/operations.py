"""The floating-point operations of one pass of a Glow, counted from its architecture.

Counted are the matrix products, 2 for each multiplication with its addition:

    a convolution [KH, KW, I, O] on H x W pixels     2 KH KW I O H W
    a 1x1 convolution of C channels                  2 C^2 H W

Products with the zeros around an image are counted: a matrix product does them. ActNorm, biases,
ReLU and the couplings' arithmetic are not: together they are less than a percent. It is the plain
sums that are counted, for everybody alike; an implementation may get by with fewer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from refglow.bijectors import Glow


@dataclass(frozen=True)
class Operations:
    """Per image, for one pass in either direction.

    Attributes:
      couplings: in the coupling networks.
      exits: in the networks that condition what exits.
      matrices: in the 1x1 convolutions.
    """

    couplings: int
    exits: int
    matrices: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.couplings + self.exits + self.matrices

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"couplings": self.couplings, "exits": self.exits, "matrices": self.matrices,
                "total": self.total}


def operations_of(glow: Glow) -> Operations:
    """Count them.

    Args:
      glow: with networks of convolutions.
    """
    height, width, _ = glow.parameters["output_shape"]
    blocks = int(glow.parameters["num_glow_blocks"])
    counts = {"coupling": 0, "exit": 0, "conv": 0}
    for name, array in glow.state_dict().items():
        found = re.match(r"block(\d+)\.(?:step\d+\.)?(coupling|exit|conv)\.(?:.*\.)?"
                         r"(?:kernel|lower_upper)$", name)
        if found:
            squeezes = blocks - int(found[1])  # block 0 is the coarsest
            pixels = (height >> squeezes) * (width >> squeezes)
            counts[found[2]] += 2 * math.prod(array.shape) * pixels
    return Operations(counts["coupling"], counts["exit"], counts["conv"])
