"""refglow: the reference for the Glow normalizing flow, in explicit NumPy.

Everything is reached from here, by TFP's names:

    import refglow as rg
    tfb, tfd = rg.bijectors, rg.distributions
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from importlib.util import find_spec as _find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refglow import bijectors, distributions, networks, plot
    from refglow.backend import current_backend, use_backend
    from refglow.explain import trace
    from refglow.model_file import load, save
    from refglow.variable import Variable

if _find_spec("refglow.kernels") is None:
    raise ImportError(f"refglow was found in its source folder, {__path__[0]}, without kernels/ "
                      "and validation/, which lie beside it. Start Python in another folder to use "
                      "what is installed, or install the source folder: pip install -e .")

__version__ = _version("refglow")

__all__ = ["Variable", "__version__", "bijectors", "current_backend", "distributions", "load",
           "networks", "plot", "save", "trace", "use_backend"]

_MODULES = {"Variable": "variable", "current_backend": "backend", "load": "model_file",
            "save": "model_file", "trace": "explain", "use_backend": "backend"}


# Public names are loaded at their first use: every run of pytest imports the plugin, and with it
# this package, and is to import no NumPy by that. Type checkers look at the imports above instead.
if not TYPE_CHECKING:
    def __getattr__(name: str) -> object:
        """A public name that was not used yet."""
        if name not in __all__:
            raise AttributeError(f"module 'refglow' has no attribute {name!r}")
        if name not in _MODULES:
            return _import_module(f"refglow.{name}")
        value = getattr(_import_module(f"refglow.{_MODULES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """All public names, whether they were used or not."""
    return sorted({*globals(), *__all__})
