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
