"""Errata of TFP: where its code and its documentation part, each with a runnable demonstration.

    from refglow.validation.errata import ERRATA
    for erratum in ERRATA:
        print(erratum.identifier, erratum.check())      # runs refglow
        print(erratum.identifier, erratum.reproduce())  # runs TFP, which must be installed

The rule: where TFP's code works, refglow computes the same function; where the code fails or
contradicts its documentation, refglow does what the documentation says; and where the code does
as documented but harms whoever uses it, refglow warns or refuses. `Erratum.follows` says which.
"""

from refglow.validation.errata import (
    actnorm,
    arguments,
    cache,
    construction,
    distributions,
    exits,
    fractions,
    interface,
    latents,
    matrices,
    networks,
    number_types,
    parts,
    precision,
    real_nvp,
)
from refglow.validation.errata.erratum import Demonstration, Erratum

ERRATA: tuple[Erratum, ...] = tuple(erratum for theme in (
    exits, fractions, construction, latents, interface, arguments, cache, actnorm, networks,
    number_types, precision, real_nvp, matrices, parts, distributions) for erratum in theme.ERRATA)

__all__ = ["ERRATA", "Demonstration", "Erratum"]
