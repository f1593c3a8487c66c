"""What networks give, each computed once: nearly all of a diagnosis' time goes there.

Most questions are not about networks. Another affine map, scale, layout or log-det is tried on the
outputs that are there already.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping

from refglow.dtypes import Array
from refglow.validation.diagnosis.searching import Deadline
from refglow.validation.dialects.networks import (
    Layers,
    NetworkConventions,
    Operands,
    as_they_are,
    network_output,
)

_MOST_BYTES = 2**27


class RememberedNetworks:
    """Computes networks until a deadline, and keeps the outputs of a model's own weights."""

    def __init__(self, arrays: Mapping[str, Array], deadline: Deadline) -> None:
        """Remember nothing yet.

        Args:
          arrays: the model's; of others, as they are moved to measure conditions, nothing is kept.
          deadline: from when on nothing is computed.
        """
        self._arrays, self._deadline = dict(arrays), deadline
        self._own = {id(array) for array in self._arrays.values()}
        self._outputs: OrderedDict[Hashable, Array] = OrderedDict()
        self._bytes = 0

    def __call__(self, x: Array, layers: Layers, conventions: NetworkConventions,
                 operands: Operands = as_they_are) -> Array:
        """As `network_output`.

        Raises:
          TimeOverError: if the time is over.
        """
        arrays = [id(array) for layer in layers for array in layer.values()]
        if operands is not as_they_are or not self._own.issuperset(arrays):
            self._deadline.check()
            return network_output(x, layers, conventions, operands)
        key = (x.shape, hashlib.blake2b(x.tobytes()).digest(),
               conventions, *arrays)
        if key in self._outputs:
            self._outputs.move_to_end(key)
            return self._outputs[key]
        self._deadline.check()
        output = network_output(x, layers, conventions)
        self._keep(key, output)
        return output

    def _keep(self, key: Hashable, output: Array) -> None:
        output.flags.writeable = False
        self._outputs[key] = output
        self._bytes += output.nbytes
        while self._bytes > _MOST_BYTES:
            _, forgotten = self._outputs.popitem(last=False)
            self._bytes -= forgotten.nbytes
