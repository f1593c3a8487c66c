"""TensorFlow and TFP, imported when they are first needed."""

from __future__ import annotations

import importlib
import os
from typing import Any

from refglow.extras import from_extra


def tensorflow() -> Any:
    """The module `tensorflow`.

    Raises:
      ImportError: if it is not installed; says how to install it.
    """
    return _module("tensorflow")


def tfp_version() -> str:
    """The installed TFP's version; Raises: as `tensorflow`."""
    return str(_module("tensorflow_probability").__version__)


def tfp_bijectors() -> Any:
    """The module `tfp.bijectors`; Raises: as `tensorflow`."""
    return _module("tensorflow_probability.python.bijectors")


def tfp_distributions() -> Any:
    """The module `tfp.distributions`; Raises: as `tensorflow`."""
    return _module("tensorflow_probability.python.distributions")


def tfp_glow_parts() -> Any:
    """The module in which TFP keeps the parts of Glow; Raises: as `tensorflow`."""
    return _module("tensorflow_probability.python.bijectors.glow")


def tfp_deferred_tensor() -> Any:
    """The class `tfp.util.DeferredTensor`; Raises: as `tensorflow`."""
    return _module("tensorflow_probability.python.util.deferred_tensor").DeferredTensor


def tfp_keras() -> Any:
    """The Keras that TFP's own networks are made of; Raises: as `tensorflow`."""
    return _module("tensorflow_probability.python.internal.tf_keras")


def _module(name: str) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read once, when TensorFlow is loaded
    with from_extra("tfp", "TensorFlow Probability's side"):
        return importlib.import_module(name)


def tfp_kind(bijector: Any) -> str | None:
    """The public name of the TFP class that `bijector` is an instance of; None if it is not TFP's.

    Chain, Invert and other compositions come in two classes, Chain and _Chain, of one function.
    """
    kind = type(bijector)
    if not kind.__module__.startswith("tensorflow_probability."):
        return None
    return str(kind.__name__).lstrip("_")
