"""The list of all golden vectors, by family; one line or one line of a grid each."""

from refglow.validation.vectors.catalogue.channels import CHANNELS
from refglow.validation.vectors.catalogue.compositions import COMPOSITIONS
from refglow.validation.vectors.catalogue.densities import DENSITIES
from refglow.validation.vectors.catalogue.elementwise import ELEMENTWISE
from refglow.validation.vectors.catalogue.glows import GLOWS
from refglow.validation.vectors.catalogue.networks import NETWORKS
from refglow.validation.vectors.catalogue.rearrangements import REARRANGEMENTS
from refglow.validation.vectors.vector import Vector

VECTORS: tuple[Vector, ...] = (
    *ELEMENTWISE, *REARRANGEMENTS, *CHANNELS, *NETWORKS, *COMPOSITIONS, *DENSITIES, *GLOWS)
BY_NAME: dict[str, Vector] = {vector.name: vector for vector in VECTORS}


def beginning_with(only: str | None) -> list[Vector]:
    """The vectors whose names begin so, in any case of letters; None for all.

    Raises:
      ValueError: if there are none; tells how names begin.
    """
    chosen = [vector for vector in VECTORS if only is None or vector.name.startswith(only.lower())]
    if not chosen:
        families = sorted({vector.name.partition("-")[0] for vector in VECTORS})
        raise ValueError(f"No vector's name begins with {only!r}; they begin with "
                         f"{', '.join(families)}.")
    return chosen
