"""A variant of a CUDA op against the specification, on whatever device is in force."""

import importlib

import ml_dtypes
import numpy as np

from refglow.bijectors import activation_normalization, coupling, expand

# In eps, relative to the largest number of a result, or, for a sum whose terms cancel, to the sum
# of the terms' sizes. A result is a formula of a few roundings, exp and log1p are off by at most
# 2 eps, and a sum in a compensated tree by 2 or 3; the largest error over all variants is 3 eps.
ROUNDINGS = 8.0
# What storing adds, relative to the number itself: half the distance to the next one.
STORED = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "uint16": 2.0**-8}


def check_variant(module, op, name, size, dtype):
    """The variant's results on its own example are the specification's."""
    variant = variant_of(module, op, name)
    arguments = variant.example(size, dtype)
    check_results(op, variant.run(*arguments), arguments)


def variant_of(module, op, name):
    variants = importlib.import_module(f"refglow.kernels.cuda.{module}").VARIANTS
    found, = (variant for variant in variants if (variant.op, variant.name) == (op, name))
    return found


def check_results(op, results, arguments, roundings=ROUNDINGS):
    """Results of an op are those of its specification, evaluated in a wider type."""
    wide_arguments = [widened(argument) for argument in arguments]
    expected = specification(op)(*wide_arguments)
    results = results if isinstance(results, tuple) else (results,)
    expected = expected if isinstance(expected, tuple) else (expected,)
    assert len(results) == len(expected)
    sizes = sizes_of_sums(op, *wide_arguments)
    for i, (result, wide) in enumerate(zip(results, expected, strict=True)):
        assert result.shape == wide.shape
        assert_close(result, wide, arguments[0].dtype.name, roundings, sizes.get(i))


def assert_close(result, expected, stored_name, roundings=ROUNDINGS, size=None):
    computing = np.float64 if stored_name == "float64" else np.float32
    stored_in_16_bits = STORED.get(result.dtype.name, 0.0)
    assert result.dtype == computing or stored_in_16_bits
    if not result.size:
        return
    error = np.abs(widened(result) - expected) - stored_in_16_bits * np.abs(expected)
    size = np.abs(expected).max() if size is None else size
    limit = roundings * np.finfo(computing).eps * size
    if not (error <= limit).all():  # NaN fails too
        raise AssertionError(f"off by {np.max(error):.3g}, more than {np.max(limit):.3g}")


def sizes_of_sums(op, array, *rest):
    """For results that are sums whose terms may cancel, the sums of the terms' sizes."""
    pixels = tuple(range(array.ndim - 1))
    if op == "channel_statistics":
        return {0: np.abs(array).mean(axis=pixels)}
    if op.startswith("activation_normalization") and op.endswith("vjp"):
        _, log_scale, bar, log_det_bar = rest
        shifted = np.abs(bar) * (1 if "forward" in op else np.exp(log_scale))
        scaled = np.abs(array * bar) / (np.exp(log_scale) if "forward" in op else 1)
        return {1: shifted.sum(axis=pixels), 2: scaled.sum(axis=pixels) + np.abs(log_det_bar)}
    if op.startswith(("activation_normalization", "normalized")):
        return {1: np.abs(rest[-1]).sum()}
    return {}


def widened(argument):
    """An argument in a type in which the specification's roundings do not matter."""
    if not isinstance(argument, np.ndarray | np.generic):
        return argument
    if argument.dtype == np.uint16:
        return argument.view(ml_dtypes.bfloat16).astype(np.float64)
    return argument.astype(np.longdouble if argument.dtype == np.float64 else np.float64)


def specification(op):
    if op == "normalized_squeeze":
        return _normalized_squeeze
    if op == "normalized_expand":
        return _normalized_expand
    found, = (getattr(module, op) for module in (activation_normalization, coupling, expand)
              if hasattr(module, op))
    return found


def _normalized_squeeze(image, block_size, shift, log_scale):
    squeezed, _ = expand.expand_inverse(image, block_size)
    return activation_normalization.activation_normalization_inverse(squeezed, shift, log_scale)


def _normalized_expand(squeezed, block_size, shift, log_scale):
    x, fldj = activation_normalization.activation_normalization_forward(squeezed, shift, log_scale)
    return expand.expand_forward(x, block_size)[0], fldj
