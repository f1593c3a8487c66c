"""Which conversion a bijector needs: the only dispatch, by the exact class.

A subclass that someone derived from a known class may compute anything, so it is not known; only
a composition that is another one in disguise is converted as that one.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow import bijectors as rgb
from refglow.bijectors.bijector import Bijector
from refglow.dtypes import DEFAULT_FLOAT, canonical_dtype
from refglow.validation.tfp.couplings import affine_twin, real_nvp_from_tfp, real_nvp_twin
from refglow.validation.tfp.framework import tfp_bijectors, tfp_kind
from refglow.validation.tfp.glow import GLOW_PARTS, glow_part_from_tfp, glow_part_twin
from refglow.validation.tfp.leaves import (
    COMPOSITION_TWINS,
    COMPOSITIONS_FROM_TFP,
    LEAVES,
    leaf_from_tfp,
    leaf_twin,
)


def from_tfp(tfp_bijector: Any) -> Any:
    """The refglow bijector that computes the same function as a TFP bijector.

    For a TFP Glow: a refglow Glow of the same architecture, with the weights, the permutations,
    ActNorm's initialised flags and the number type of the original, as copies. Keras networks made
    of Conv2D, Dense and ReLU layers become refglow networks; any other callable is called live, and
    what it returns (a tensor or a TFP bijector) is converted. Variables of live functions stay
    TensorFlow's: the state shows them, and assigning to them changes the original.

    Args:
      tfp_bijector: a bijector of the kinds that refglow has, nested as you like.

    Raises:
      ImportError: if TFP is not installed.
      TypeError: for any other bijector; names its class.
    """
    tfb, kind = tfp_bijectors(), tfp_kind(tfp_bijector)
    if kind in GLOW_PARTS:
        return glow_part_from_tfp(kind, tfp_bijector, from_tfp)
    if kind in LEAVES:
        return leaf_from_tfp(kind, tfp_bijector)
    if kind in COMPOSITIONS_FROM_TFP:
        return COMPOSITIONS_FROM_TFP[kind](tfp_bijector, from_tfp)
    if kind == "RealNVP":
        return real_nvp_from_tfp(tfp_bijector, from_tfp)
    inner = getattr(tfp_bijector, "_bijectors", None)
    if isinstance(tfp_bijector, tfb.Composition) and isinstance(inner, tfb.Composition):
        return rgb.Chain([from_tfp(inner)], name=tfp_bijector.name)
    raise TypeError(f"refglow has no counterpart for {_class_of(tfp_bijector)}.")


def tfp_twin(bijector: Bijector, dtype: npt.DTypeLike = DEFAULT_FLOAT) -> Any:
    """The TFP bijector that computes the same function as a refglow bijector: the live oracle.

    Everything is computed by TFP's own classes. Networks made of refglow's layers are rebuilt in
    Keras; any other callable is called live, in eager mode only, and cannot be differentiated. The
    parameters are copies. A Glow's twin takes exactly one batch dimension, as TFP's Keras networks
    do.

    Args:
      bijector: a refglow bijector, nested as you like.
      dtype: the number type of parameters given as plain numbers, which in refglow take that of
        the input; TFP's own default is float32.

    Raises:
      ImportError: if TFP is not installed.
      TypeError: for a bijector that TFP has no counterpart for, or another number type than float32
        and float64; names it.
    """
    weak = canonical_dtype(dtype) or DEFAULT_FLOAT
    twin, kind = functools.partial(tfp_twin, dtype=weak), type(bijector).__name__
    if bijector.dtype not in (None, np.float32, np.float64):
        raise TypeError(f"{bijector.name} computes in {bijector.dtype}; TFP's bijectors compute in "
                        "float32 or float64.")
    if type(bijector) is getattr(rgb, kind, None):
        if kind in GLOW_PARTS:
            return glow_part_twin(kind, bijector, twin)
        if kind in LEAVES:
            return leaf_twin(kind, bijector, weak)
        if kind in COMPOSITION_TWINS:
            return COMPOSITION_TWINS[kind](bijector, twin)
        if isinstance(bijector, (rgb.SigmoidAffine, rgb.ExpAffine)):
            return affine_twin(bijector, weak)
        if isinstance(bijector, rgb.RealNVP):
            return real_nvp_twin(bijector, twin, weak)
    if isinstance(bijector, rgb.Composition) and isinstance(bijector._bijectors, rgb.Composition):
        return tfp_bijectors().Chain([twin(bijector._bijectors)], name=bijector.name)
    raise TypeError(f"TFP has no counterpart for {_class_of(bijector)}.")


def _class_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"
