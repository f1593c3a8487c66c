"""Variables: named handles on a bijector's parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.array_library import is_on_gpu, placed_on, to_host
from refglow.dtypes import Array, DType

_name_scope: ContextVar[str] = ContextVar("refglow_name_scope", default="")


class NameScope:
    """A context manager: variables created inside it carry its name in front of their own."""

    def __init__(self, name: str) -> None:
        """Name the scope; scopes nest, giving "outer/inner/"."""
        self.name = name
        self._tokens: list[Token[str]] = []

    def __enter__(self) -> str:
        scope = f"{_name_scope.get()}{self.name}/"
        self._tokens.append(_name_scope.set(scope))
        return scope

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        _name_scope.reset(self._tokens.pop())


class _Cell:
    """The storage that all handles on one parameter share."""

    __slots__ = ("array", "checks", "copies")

    def __init__(self, array: Array) -> None:
        self.array = array
        self.checks: tuple[Callable[[Array], object], ...] = ()
        # By a GPU's number: (the array that was copied, the copy on that GPU).
        self.copies: dict[int, tuple[Array, Array]] = {}

    def copy_on(self, device: Any) -> Array:
        held = self.copies.get(device.id)
        if held is None or held[0] is not self.array:
            array = self.array
            held = self.copies[device.id] = array, placed_on(array, device)
        return held[1]

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        return None, {"array": self.array, "checks": self.checks, "copies": {}}


class Variable(np.lib.mixins.NDArrayOperatorsMixin):
    """A named handle on one parameter array; usable wherever an array is.

    Attributes:
      name: the parameter's name, as seen from the model it was asked of.
      trainable: whether training changes it.
    """

    __slots__ = ("_cell", "name", "trainable")

    def __init__(self, value: npt.ArrayLike, name: str = "Variable", trainable: bool = True,
                 dtype: npt.DTypeLike | None = None) -> None:
        """Hold a copy of `value`.

        Args:
          value: the initial value, of any shape.
          name: its name; a surrounding `NameScope` is put in front.
          trainable: whether training changes it.
          dtype: its number type; by default that of `value`.
        """
        self._cell = _Cell(_frozen(np.array(
            to_host(value) if is_on_gpu(value) else value, dtype=dtype)))
        self.name = _name_scope.get() + name
        self.trainable = trainable

    def renamed(self, name: str) -> Variable:
        """A handle on the same storage, under another name."""
        handle = Variable.__new__(Variable)
        handle._cell, handle.name, handle.trainable = self._cell, name, self.trainable
        return handle

    @property
    def storage(self) -> int:
        """A number that all handles on this parameter share, and no other parameter has."""
        return id(self._cell)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self._cell.array.shape

    @property
    def dtype(self) -> DType:
        """The number type of the array."""
        return self._cell.array.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions of the array."""
        return self._cell.array.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._cell.array.size

    def numpy(self) -> Array:
        """The value: a read-only array that later assignments do not change."""
        return self._cell.array

    def value_for(self, x: Any) -> Array:
        """The value where the array x is: `numpy()`, or a copy on the GPU that x is on.

        The copy is made when it is first asked for, and anew after an assignment. Do not change it.
        """
        return self._cell.copy_on(x.device) if is_on_gpu(x) else self._cell.array

    def require(self, check: Callable[[Array], object]) -> None:
        """From now on assign only values for which `check(value)` raises nothing."""
        if check not in self._cell.checks:
            self._cell.checks += (check,)

    def checked(self, value: Any) -> Array:
        """The array that `assign(value)` would store: a copy of `value` in this variable's dtype.

        A CuPy array is brought to the host. NaN and infinity may be stored; `validate_args` is what
        looks for them.

        Raises:
          ValueError: if the shapes differ, if numbers would be lost in the cast (complex to real,
            real to integer, an integer out of range), or if it fails what is required of it.
        """
        array = to_host(value)
        if array.shape != self.shape:
            raise ValueError(f"Variable {self.name!r} has shape {self.shape}; "
                             f"cannot assign an array of shape {array.shape}.")
        if not np.can_cast(array.dtype, self.dtype, casting="same_kind") and (
                array.dtype.kind not in "biuf" or self.dtype.kind in "biu"):
            raise ValueError(f"Variable {self.name!r} holds {self.dtype}; "
                             f"cannot assign {array.dtype}.")
        stored = array.astype(self.dtype, copy=True)
        if self.dtype.kind in "iu" and not np.array_equal(stored, array):
            raise ValueError(f"Variable {self.name!r} holds {self.dtype}; cannot assign integers "
                             "that are out of its range.")
        for check in self._cell.checks:
            check(stored)
        return stored

    def assign(self, value: Any) -> Variable:
        """Replace the value by a copy of `value`, cast to this variable's dtype.

        Raises:
          ValueError: if it does not fit (see `checked`); the variable is then unchanged.
        """
        self._cell.array = _frozen(self.checked(value))
        return self

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self._cell.array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(out, Variable) for out in kwargs.get("out", ())):
            raise TypeError(f"Variable {self.name!r} cannot be changed in place; use "
                            "variable.assign(new_value).")
        beside = next(filter(is_on_gpu, inputs), None)
        plain = [v.value_for(beside) if isinstance(v, Variable) else v for v in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __cupy_get_ndarray__(self) -> Array:
        """What CuPy takes for a Variable among its arrays: the copy on its current GPU."""
        return self._cell.copy_on(sys.modules["cupy"].cuda.Device())

    def __getitem__(self, index: Any) -> Any:
        return self._cell.array[index]

    def __len__(self) -> int:
        return len(self._cell.array)

    def __bool__(self) -> bool:
        return bool(self._cell.array)

    def __int__(self) -> int:
        return int(self._cell.array)

    def __float__(self) -> float:
        return float(self._cell.array)

    def __repr__(self) -> str:
        kind = "" if self.trainable else ", trainable=False"
        return f"<Variable {self.name!r} shape={self.shape} dtype={self.dtype}{kind}>"


def adopt(variable: Variable, array: Array) -> None:
    """Make `array` itself the variable's value: as `assign`, without the copy. For refglow's use.

    For code that has just made the array and lets go of it: it is made read-only, but someone who
    kept an older view of it could still change the value.

    Args:
      variable: what to change.
      array: of its shape and dtype; a NumPy scalar for a variable without dimensions (NumPy's
        arithmetic makes scalars of such arrays).

    Raises:
      ValueError: if the shape or dtype differ, or it fails what is required of the variable, which
        is then unchanged.
    """
    array = np.asarray(array)
    if array.shape != variable.shape or array.dtype != variable.dtype:
        raise ValueError(f"Variable {variable.name!r} has shape {variable.shape} and holds "
                         f"{variable.dtype}; cannot adopt an array of shape {array.shape} and "
                         f"{array.dtype}.")
    cell = variable._cell
    for check in cell.checks:
        check(array)
    cell.array = _frozen(array)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def value_of(parameter: Any) -> Any:
    """The array behind a Variable; anything else as it is."""
    return parameter.numpy() if isinstance(parameter, Variable) else parameter
