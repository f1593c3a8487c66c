"""Pictures of live objects for notebooks, on matplotlib: `rg.plot`.

    rg.plot.schematic(glow)                the model as TFP draws it, with the shapes at every stage
    rg.plot.latents(glow, x)               where an image's numbers go, scale by scale
    rg.plot.samples(px)                    images drawn from the model
    rg.plot.logdet_waterfall(glow, x)      what each layer adds to the log-det
    rg.plot.error_by_layer(report)         how wrong each layer of an implementation is
    rg.plot.roofline(report)               kernels below the machine's limits

One rule for all: a function draws into one Axes and returns it. It is `ax`, or, without one, that
of a new figure of pyplot. What is drawn besides, a colour bar or a key, belongs to that Axes.

Colours can be told apart by people who see no red or green, and stand out from light and dark
backgrounds; text has the colour in which the Axes writes. Nothing global is changed.
"""

from refglow.plot.error_by_layer import error_by_layer
from refglow.plot.latents import latents
from refglow.plot.logdet_waterfall import logdet_waterfall
from refglow.plot.roofline import roofline
from refglow.plot.samples import samples
from refglow.plot.schematic import schematic

__all__ = ["error_by_layer", "latents", "logdet_waterfall", "roofline", "samples", "schematic"]
