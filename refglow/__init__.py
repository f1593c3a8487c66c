"""refglow: the reference for the Glow normalizing flow, in explicit NumPy.

Everything is reached from here, by TFP's names:

    import refglow as rg
    tfb, tfd = rg.bijectors, rg.distributions
"""

from importlib.metadata import version as _version
from importlib.util import find_spec as _find_spec

from refglow import bijectors, distributions, networks
from refglow.backend import current_backend, use_backend
from refglow.model_file import load, save
from refglow.variable import Variable

if _find_spec("refglow.kernels") is None:
    raise ImportError(f"refglow was found in its source folder, {__path__[0]}, without kernels/ "
                      "and validation/, which lie beside it. Start Python in another folder to use "
                      "what is installed, or install the source folder: pip install -e .")

__version__ = _version("refglow")

__all__ = ["Variable", "__version__", "bijectors", "current_backend", "distributions", "load",
           "networks", "save", "use_backend"]
