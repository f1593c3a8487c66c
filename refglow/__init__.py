"""refglow: the reference for the Glow normalizing flow, in explicit NumPy.

    import refglow as rg
    tfb, tfd = rg.bijectors, rg.distributions
"""

from refglow import bijectors, distributions, networks
from refglow.variable import Variable

__version__ = "0.1.0"

__all__ = ["Variable", "__version__", "bijectors", "distributions", "networks"]
