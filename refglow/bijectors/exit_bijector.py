"""ExitBijector: where part of the channels leaves Glow for the latent vector.

The channels are [leave | grab | pass]: the first `leave` go on to the next (coarser) block, `grab`
exit here, `pass` have exited before. The exiting ones are coupled to those that go on,

    inverse (to the latent)   z_grab = exp(r + 2) * x_grab + t,    [r | t] = network(x_leave)

so that the coarse features decide the location and scale of the fine ones' distribution. In this
class, as in TFP, the affine map is the *forward* direction; Glow uses Invert(ExitBijector).

    forward   y = [x_leave, exp(r + 2) * x_grab + t, x_pass]          fldj = sum (r + 2)
    inverse   x = [y_leave, (y_grab - t) / exp(r + 2), y_pass]        ildj = -sum (r + 2)

With leave = 0 or grab = 0 there is nothing to couple and the exit is the identity.

Departure from TFP: TFP cuts the network's output [r | t] at `leave` channels; here it is cut at
`grab`, as the shapes require. The two agree where leave = grab; elsewhere TFP fails (affine) or
shifts by the wrong channels (additive).

Source: Kingma & Dhariwal 2018, section 3.6; tfp.bijectors.glow.ExitBijector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.blockwise import Blockwise
from refglow.bijectors.composition import Composition, Step
from refglow.bijectors.glow_coupling import ExpAffine
from refglow.bijectors.glow_shapes import count_of, sizes_of_image
from refglow.bijectors.identity import Identity
from refglow.bijectors.network_builder import build_network
from refglow.bijectors.network_coupling import NetworkCoupling
from refglow.bijectors.real_nvp import RealNVP
from refglow.dtypes import DEFAULT_FLOAT, canonical_dtype
from refglow.networks.glow_networks import GlowDefaultExitNetwork


class ExitBijector(Composition):
    """Couples the exiting channels to those that stay."""

    def __init__(self, input_shape: Sequence[int], blockwise_splits: Sequence[int],
                 coupling_bijector_fn: Callable[..., Any] | None = None,
                 seed: int | np.random.Generator | None = None,
                 dtype: npt.DTypeLike = DEFAULT_FLOAT, name: str = "exit_bijector") -> None:
        """Build it.

        Args:
          input_shape: (H, W, C) of the input, C = leave + grab + pass.
          blockwise_splits: (leave, grab, pass).
          coupling_bijector_fn: called with the shape (H, W, leave) and output_chan=grab; returns a
            network (or None: the default network). The network returns `grab` channels (a shift),
            2 `grab` channels (raw scale and shift) or a bijector.
          seed: for the network's start, if the function takes a `seed`.
          dtype: the number type.
          name: its name.

        Raises:
          ValueError: if input_shape or blockwise_splits are not as above.
        """
        leave, grab, passed = (count_of(n, f"{name}: blockwise_splits", 0)
                               for n in blockwise_splits)
        h, w, c = sizes_of_image(input_shape, f"{name}: input_shape")
        if leave + grab + passed != c:
            raise ValueError(f"{name}: blockwise_splits {leave} + {grab} + {passed} must add up to "
                             f"the {c} channels of input_shape {tuple(input_shape)}.")
        number_type = canonical_dtype(dtype) or DEFAULT_FLOAT
        self._exit_layer: Any = None
        coupling: Bijector = Identity()
        if leave and grab:
            self._exit_layer = build_network(
                coupling_bijector_fn or GlowDefaultExitNetwork, (h, w, leave), output_chan=grab,
                dtype=number_type, seed=np.random.default_rng(seed), owner=name)
            coupling = RealNVP(num_masked=leave, bijector_fn=NetworkCoupling(
                self._exit_layer, grab, ExpAffine, number_type, name))
        super().__init__(
            Blockwise([coupling, Identity()], [leave + grab, passed]), name=name, dtype=dtype,
            members={"": self._exit_layer},
            parameters=dict(input_shape=input_shape, blockwise_splits=blockwise_splits,
                            coupling_bijector_fn=coupling_bijector_fn, seed=seed, dtype=dtype,
                            name=name))

    def _walk_forward(self, step: Step, x: Any, **kwargs: Any) -> Any:
        return super()._walk_forward(step, x, **self._for_coupling(kwargs))

    def _walk_inverse(self, step: Step, y: Any, **kwargs: Any) -> Any:
        return super()._walk_inverse(step, y, **self._for_coupling(kwargs))

    def _for_coupling(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The conditioning arguments; an exit without a coupling has nothing to condition.

        All exits of a Glow have one name and so get the same arguments.
        """
        return {} if self._exit_layer is None else kwargs

    @property
    def exit_layer(self) -> Any:
        """The network, or None where nothing is coupled."""
        return self._exit_layer
