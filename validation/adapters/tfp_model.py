"""TensorFlow Probability's Glow as a Glow in TFP's dialect.

`refglow.validation.tfp.from_tfp` makes refglow's Glow of it, whose arrays these are. What was read
is held against that Glow on random numbers, because a network can be any callable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors import Glow
from refglow.dtypes import Array
from refglow.validation.adapters.imported import Imported, re_indexed
from refglow.validation.compare import difference
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.known import TFP
from refglow.validation.random_models import random_images
from refglow.validation.tolerances import probed_network

_TRIED = ("relu", "none", "relu also at the end")


def from_tfp(glow: Any) -> Imported:
    """The Glow that a tfp.bijectors.Glow is.

    Args:
      glow: its networks Keras stacks of Conv2D, Dense and ReLU layers; its ActNorms have seen data.

    Raises:
      ImportError: if TFP is not installed.
      NotRepresentableError: if a network is anything else, or an ActNorm has not seen data.
    """
    from refglow.validation.tfp import from_tfp as refglow_from_tfp
    from refglow.validation.tfp.live import LiveNetwork
    ours = refglow_from_tfp(glow)
    if not isinstance(ours, Glow):
        raise TypeError(f"from_tfp takes a tfp.bijectors.Glow; got {type(glow).__name__}.")
    for module in ours.submodules:
        if isinstance(module, LiveNetwork):
            raise NotRepresentableError.at(
                f"The network {module.__name__!r}", "it is a function; "
                "a dialect's networks are stacks of convolutions and ReLU.")
    state = ours.state_dict()
    for name, value in state.items():
        if name.endswith(".initialized") and not value:
            raise NotRepresentableError.at(
                name.removesuffix(".initialized"), "it has not seen data yet, so its values would "
                "come from the next batch; call the model on a batch first.")
    of_state = DialectGlow.of(ours)
    arrays = {name: _as_convolution(value) if name.endswith(".kernel") else value
              for name, value in of_state.arrays.items()}
    return Imported(_probed(ours, DialectGlow(of_state.structure, TFP, arrays)), (
        re_indexed("kernel", "[kh, kw, in, out], of Dense layers [in, out]", "as given",
                   "Dense layers are 1x1 convolutions"),))


def _as_convolution(kernel: Array) -> Array:
    return kernel[None, None] if kernel.ndim == 2 else kernel


def _probed(ours: Glow, read: DialectGlow) -> DialectGlow:
    """`read` with the activation with which it computes what `ours` does on random numbers."""
    rng = np.random.default_rng(0)
    images = random_images(rng, 2, read.structure.image_shape).astype(ours.dtype)
    expected = ours.inverse(images)
    for activation in _TRIED:
        glow = DialectGlow(read.structure, TFP.but(activation=activation), read.arrays)
        if difference(glow.inverse(images)[0], expected).relative < probed_network(images.dtype):
            return glow
    raise NotRepresentableError.at(
        "The networks", "convolutions with one activation between them do not give what they give "
        "on random numbers.")
