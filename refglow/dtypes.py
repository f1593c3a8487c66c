"""Which number type a computation runs in, and how foreign values become arrays.

The rules, in one place:

* A Python number, or a list of them, is *weak*: it takes the number type of whatever it meets.
  On its own it becomes float32, the default of the field's frameworks.
* Integers and booleans, arrays of them too, convert to the number type of the bijector.
* A floating array is never converted silently. If its type is not the one that the bijector
  computes in, the answer is a TypeError that spells out the cast.
* complex arrays of matching precision (complex-step differentiation) and object arrays (intervals,
  balls, arbitrary precision) are let through everywhere; NumPy's promotion rules then apply.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from refglow.array_library import asarray, is_array, is_on_gpu, require_current_gpu

Array: TypeAlias = npt.NDArray[Any]
DType: TypeAlias = np.dtype[Any]

DEFAULT_FLOAT: DType = np.dtype(np.float32)

_REAL_OF_COMPLEX = {np.dtype(c): np.dtype(r) for c, r in [
    (np.complex64, np.float32), (np.complex128, np.float64), (np.clongdouble, np.longdouble)]}


def canonical_dtype(dtype: npt.DTypeLike | None) -> DType | None:
    """The NumPy dtype meant by `dtype`: real or complex floating, object, or None for "any".

    Args:
      dtype: anything `np.dtype` accepts, a framework's dtype with `as_numpy_dtype`, or None.

    Raises:
      TypeError: if it is not a number type that a bijector can compute in.
    """
    if dtype is None:
        return None
    result = np.dtype(getattr(dtype, "as_numpy_dtype", dtype))
    if result.kind not in "fcO":
        raise TypeError(f"dtype must be floating, complex or object; got {result}.")
    return result


@functools.cache
def accumulator(dtype: DType) -> DType:
    """The type in which `dtype` numbers are worked with inside an operation: float64 for float32.

    Log-dets are sums of thousands of terms, and a value passes through hundreds of operations. So
    in float32 an operation on the flow's path computes in float64 and rounds its result once; the
    networks, whose products are nearly all of the work, stay in float32. Other types compute in
    themselves.
    """
    if dtype.kind in "fc" and dtype.itemsize < np.dtype(np.float64).itemsize * (
            2 if dtype.kind == "c" else 1):
        return np.promote_types(dtype, np.float64)
    return dtype


def widened(array: Array) -> Array:
    """The array in its accumulator type."""
    return array.astype(accumulator(array.dtype), copy=False)


def rounded(result: Array, *operands: Array) -> Array:
    """A result that was computed from widened operands, in the number type of the operands."""
    return asarray(result, np.result_type(*operands))


def is_weak(value: Any) -> bool:
    """Whether `value` is a Python number or a (nested) list of them, without a type of its own."""
    if isinstance(value, (list, tuple)):
        return all(is_weak(item) for item in value)
    return type(value) in (bool, int, float, complex)


def accepts(expected: DType | None, actual: DType) -> bool:
    """Whether arrays of type `actual` may enter a computation in `expected` (None: any)."""
    if expected is None or actual == expected or actual.kind == "O" or expected.kind == "O":
        return True
    # (Not `.get(actual) == expected`: NumPy holds that None == dtype('float64').)
    return actual in _REAL_OF_COMPLEX and _REAL_OF_COMPLEX[actual] == expected


def common_dtype(dtypes: list[DType | None], owner: str) -> DType | None:
    """The one dtype among `dtypes` that is not None, or None.

    Raises:
      ValueError: if two of them differ.
    """
    known = sorted({d for d in dtypes if d is not None}, key=str)
    if len(known) > 1:
        raise ValueError(f"{owner} holds parts of different dtypes: {', '.join(map(str, known))}. "
                         "Build all parts with the same dtype.")
    return known[0] if known else None


def as_array(value: Any, dtype: DType | None, owner: str, what: str) -> Array:
    """`value` as an array in the number type `dtype` (None: keep its own; weak values: float32).

    Args:
      value: a number, a nested list, or anything with `__array__` or `__dlpack__`. A CuPy array
        stays on its GPU; everything else becomes NumPy's.
      dtype: the type that `owner` computes in, or None.
      owner, what: who asks, and what the value is to them; used in messages only.

    Raises:
      TypeError: for a floating array of another type than `dtype`, or no numbers at all.
      ValueError: for a CuPy array that is not on CuPy's current GPU.
    """
    if type(value) is np.ndarray and value.dtype.kind in "fc" and (
            dtype is None or value.dtype == dtype):
        return value
    weak = is_weak(value)
    array = _as_any_array(value, owner, what)
    if array.dtype.kind in "biu" or (weak and array.dtype.kind == "f"):
        return array.astype(DEFAULT_FLOAT if dtype is None else dtype)
    if array.dtype.kind not in "fcO":
        raise TypeError(f"{owner}: {what} must hold numbers; got an array of dtype {array.dtype}.")
    if array.dtype == object:
        _check_numbers(array, owner, what)
    if not accepts(dtype, array.dtype):
        if array.dtype.kind == "c" and dtype is not None and dtype.kind == "f":
            raise TypeError(f"{owner} computes in {dtype}, but {what} is {array.dtype}. Take its "
                            f"real part, or build {owner} with dtype='{array.dtype}'.")
        name = "..." if " " in what else what
        cast = (f"{name}.astype('{dtype}')" if is_array(value)
                else f"np.asarray({name}, dtype='{dtype}')")
        raise TypeError(f"{owner} computes in {dtype}, but {what} is {array.dtype}. "
                        f"Cast it with {cast}, or build {owner} with dtype='{array.dtype}'.")
    return array


def _check_numbers(array: Array, owner: str, what: str) -> None:
    """Raise TypeError unless the objects in `array` can be multiplied and divided."""
    for item in array.flat:
        if not (hasattr(item, "__mul__") and hasattr(item, "__truediv__")):
            raise TypeError(f"{owner}: {what} must hold numbers; got a {type(item).__name__}.")


def _as_any_array(value: Any, owner: str, what: str) -> Array:
    if is_on_gpu(value):
        require_current_gpu(owner, what, value)
        return asarray(value)
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        return np.from_dlpack(value)
    try:
        return np.asarray(value)
    except (ValueError, RuntimeError) as error:  # ragged lists; tensors that record gradients
        raise TypeError(f"{owner}: {what} is not an array of numbers to read: {error}"
                        ) from error
