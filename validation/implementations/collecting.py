"""All that an implementation offers, called once; under refglow's names, whatever it calls them.

In normflows and TFP `forward` makes images of latents, elsewhere often latents of images. Where
`inverse` gives no latents and `forward`, given images, does, the two names are exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from refglow.dtypes import Array
from refglow.validation.implementations.calls import CallFailedError, Calls, NotAnsweredError
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.offerings import OFFERINGS

Progress = Callable[[str], None]

_OTHER = {"inverse": "forward", "forward": "inverse"}


@dataclass(frozen=True)
class Collected:
    """What an implementation gave.

    Attributes:
      calls: it, under refglow's names.
      offered: the names of what it offers.
      found: by offering, what it returned.
      failed: by offering, why it returned nothing.
      exchanged: whether its `forward` is refglow's `inverse`.
    """

    calls: Calls
    offered: tuple[str, ...]
    found: dict[str, Found]
    failed: dict[str, CallFailedError]
    exchanged: bool = False


def collected(calls: Calls, arguments: Mapping[str, Array],
              progress: Progress = lambda name: None) -> Collected:
    """Call everything that is offered.

    Args:
      calls: the implementation.
      arguments: images or latents, for each offering.
      progress: told what is called next.

    Raises:
      CallFailedError: if it could not be built.
    """
    progress("build")
    found = _called(calls, arguments, progress)
    if _are_exchanged(found, arguments):
        again = _called(_Exchanged(calls), arguments, progress)
        return Collected(again.calls, again.offered, again.found, again.failed, exchanged=True)
    return found


def _called(calls: Calls, arguments: Mapping[str, Array], progress: Progress) -> Collected:
    offered = calls.offered()
    found: dict[str, Found] = {}
    failed: dict[str, CallFailedError] = {}
    for name in offered:
        progress(name)
        try:
            found[name] = calls.call(name, arguments[name])
        except CallFailedError as error:
            failed[name] = error
    return Collected(calls, offered, found, failed)


def _are_exchanged(found: Collected, arguments: Mapping[str, Array]) -> bool:
    """Whether `inverse` gave no latents of images, and `forward` gives some."""
    if not {"inverse", "forward"} <= set(found.offered):
        return False
    images, latents = arguments["inverse"], arguments["forward"]
    expected = (len(images), *latents.shape[1:])
    inverse = found.found.get("inverse")
    if inverse is not None and inverse.arrays["inverse"].shape == expected:
        return False
    try:
        return found.calls.call("forward", images).arrays["forward"].shape == expected
    except (CallFailedError, NotAnsweredError):
        return False


class _Exchanged:
    """An implementation whose two directions have each other's names."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def offered(self) -> tuple[str, ...]:
        """As of any implementation, in the usual order."""
        theirs = {_exchanged(name) for name in self._calls.offered()}
        return tuple(name for name in OFFERINGS if name in theirs)

    def call(self, name: str, argument: Array) -> Found:
        """What the function of the other name gives, under this name."""
        found = self._calls.call(_exchanged(name), argument)
        return Found({_exchanged(key): array for key, array in found.arrays.items()},
                     {_exchanged(key): dtype for key, dtype in found.dtypes.items()},
                     found.layers, found.by_name)


def _exchanged(name: str) -> str:
    first, underscore, rest = name.partition("_")
    return _OTHER.get(first, first) + underscore + rest
