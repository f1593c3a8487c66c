"""refglow: the reference for the Glow normalizing flow, in explicit NumPy.

Everything is reached from here, by TFP's names:

    import refglow as rg
    tfb, tfd = rg.bijectors, rg.distributions
"""

from importlib.metadata import version as _version
from pathlib import Path as _Path

from refglow import bijectors, distributions, networks
from refglow.backend import current_backend, use_backend
from refglow.model_file import load, save
from refglow.variable import Variable

_parent = _Path(__file__).absolute().parent.parent
if (_parent / "setup.cfg").is_file() and (_parent / "kernels").is_dir():
    # A checkout, imported from its own folder: kernels/ and validation/ lie beside this one.
    __path__.append(str(_parent))

__version__ = _version("refglow")

__all__ = ["Variable", "__version__", "bijectors", "current_backend", "distributions", "load",
           "networks", "save", "use_backend"]
