"""Arguments of a launch: where arrays lie in the address space, and the bytes of the parameters.

Numba's convention for a kernel's arguments: an array of n dimensions is 5 + 2 n parameters of 64
bits: meminfo, parent (both null), number of items, item size, data, shape, strides in bytes. A
number is one parameter, a complex number two, a tuple the parameters of its elements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.kernels.ptx.address_space import Region, Space
from refglow.kernels.ptx.code import Code
from refglow.kernels.ptx.flatten import Program
from refglow.kernels.ptx.layout import ARRAY_ALIGNMENT, GLOBAL_BASE, GUARD_BYTES, aligned
from refglow.kernels.ptx.rounding import to_bfloat16
from refglow.kernels.ptx.syntax import PtxError, Variable
from refglow.kernels.ptx.types import NUMPY_TYPE


@dataclass(frozen=True)
class Pointer:
    """An argument that the kernel takes as a bare pointer to an array's first element."""

    array: npt.NDArray[Any]


@dataclass
class _Extent:
    """A stretch of this process's memory that arguments lie in, and its simulated address."""

    low: int
    high: int
    arrays: list[npt.NDArray[Any]]
    names: list[str]
    address: int = 0

    def bytes(self) -> npt.NDArray[np.uint8]:
        """The stretch itself, as bytes that are read and written in place."""
        array = self.arrays[0]
        interface = {
            "data": (self.low, any(not a.flags.writeable for a in self.arrays)),
            "shape": (self.high - self.low,),
            "typestr": "|u1",
            "version": 3,
        }
        return np.asarray(_Interface(interface, array))


class _Interface:
    """Memory by its address, as NumPy takes it; keeps the array that owns it alive."""

    def __init__(self, interface: dict[str, Any], owner: npt.NDArray[Any]) -> None:
        self.__array_interface__ = interface
        self.owner = owner


@dataclass
class Bound:
    """A launch's arguments in place.

    Attributes:
        space: the global memory: the program's variables, then the arrays.
        parameters: the bytes of each kernel parameter by name.
        pointers: names of the parameters that are addresses of arrays.
        names_by_region: per region, the parameters and variables that name it.
        uninitialised: names of regions that hold no values yet.
    """

    space: Space
    parameters: dict[str, bytes]
    pointers: set[str]
    names_by_region: dict[str, set[str]]
    uninitialised: set[str]
    extents: list[_Extent]

    def write_back(self) -> None:
        """Copy what the kernel wrote into the arrays that were passed."""
        for extent in self.extents:
            target = extent.bytes()
            if target.flags.writeable:
                start = extent.address - self.space.base
                target[...] = self.space.memory[start : start + target.size]


def bind(
    program: Program,
    code: Code,
    args: Sequence[Any],
    names: Sequence[str] | None,
    uninitialised: Collection[str],
) -> Bound:
    """Place a launch's arguments.

    Raises:
        PtxError: arguments that do not fit the kernel's parameters.
    """
    if names is None:
        names = program.argument_names or [f"arg{i}" for i in range(len(args))]
    if len(names) != len(args):
        raise PtxError(f"{len(args)} arguments, but {len(names)} names: {list(names)}")
    unknown = set(uninitialised) - set(names)
    if unknown:
        raise PtxError(f"uninitialised={sorted(unknown)}: the arguments are {list(names)}")
    extents = _extents(args, names)
    regions = list(code.variables.regions["global"])
    names_by_region = {region.name: {region.name} for region in regions}
    end = max([GLOBAL_BASE, *(region.start + region.size for region in regions)])
    for extent in extents:
        # The distance to an alignment boundary is kept: what is misaligned here stays so there.
        extent.address = aligned(end + GUARD_BYTES, ARRAY_ALIGNMENT) + extent.low % ARRAY_ALIGNMENT
        if extent.low % 16 == 0:
            # Host arrays are aligned to 16 bytes by NumPy's allocator, device arrays to 256.
            extent.address = aligned(extent.address, ARRAY_ALIGNMENT)
        end = extent.address + extent.high - extent.low
        read_only = any(not array.flags.writeable for array in extent.arrays)
        name = "/".join(dict.fromkeys(extent.names))
        regions.append(Region(name, extent.address, extent.high - extent.low, read_only))
        names_by_region[name] = set()
    memory = np.zeros(aligned(end - GLOBAL_BASE, 16) + 16, np.uint8)
    for region in code.variables.regions["global"]:
        content = code.variables.contents[region.name]
        start = region.start - GLOBAL_BASE
        memory[start : start + len(content)] = np.frombuffer(content, np.uint8)
    for extent in extents:
        start = extent.address - GLOBAL_BASE
        memory[start : start + extent.high - extent.low] = extent.bytes()
    parameters, pointers = _parameters(program, args, extents, names_by_region)
    fresh = {
        "/".join(dict.fromkeys(e.names)) for e in extents if set(e.names) & set(uninitialised)
    }
    space = Space("global", GLOBAL_BASE, regions, memory)
    return Bound(space, parameters, pointers, names_by_region, fresh, extents)


def _arrays(args: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[npt.NDArray[Any], str]]:
    for argument, name in zip(args, names, strict=True):
        if isinstance(argument, Pointer):
            yield argument.array, name
        elif isinstance(argument, np.ndarray):
            yield argument, name
        elif isinstance(argument, tuple):
            yield from _arrays(argument, [f"{name}[{i}]" for i in range(len(argument))])


def _extents(args: Sequence[Any], names: Sequence[str]) -> list[_Extent]:
    """The arguments' stretches of memory; those that overlap are one."""
    found: list[_Extent] = []
    pieces = []
    for array, name in _arrays(args, names):
        low, high = np.lib.array_utils.byte_bounds(array)
        pieces.append(_Extent(low, high if array.size else low, [array], [name]))
    for piece in sorted(pieces, key=lambda piece: piece.low):
        last = found[-1] if found else None
        if last is not None and piece.low < last.high:
            last.high = max(last.high, piece.high)
            last.arrays += piece.arrays
            last.names += piece.names
        else:
            found.append(piece)
    return found


def _address(array: npt.NDArray[Any], extents: list[_Extent]) -> tuple[int, str]:
    """The simulated address of an array's first element, and its region's name."""
    start = array.__array_interface__["data"][0]
    for extent in extents:
        if any(array is known for known in extent.arrays):
            name = "/".join(dict.fromkeys(extent.names))
            return extent.address + start - extent.low, name
    raise AssertionError("every array has an extent")


def _parameters(
    program: Program,
    args: Sequence[Any],
    extents: list[_Extent],
    names_by_region: dict[str, set[str]],
) -> tuple[dict[str, bytes], set[str]]:
    """The bytes of each parameter, and which of them are addresses of arrays."""
    left = list(program.parameters)
    values: dict[str, bytes] = {}
    pointers: set[str] = set()

    def give(value: Any) -> str:
        if not left:
            raise PtxError(
                f"kernel {program.name}: the arguments need more than its "
                f"{len(program.parameters)} parameters; an array with too many dimensions?"
            )
        parameter = left.pop(0)
        values[parameter.name] = _encode(program, parameter, value)
        return parameter.name

    def place(array: npt.NDArray[Any], bare: bool) -> None:
        address, region = _address(array, extents)
        if not bare:
            for value in (0, 0, array.size, array.itemsize):
                give(value)
        name = give(address)
        pointers.add(name)
        names_by_region[region].add(name)
        if not bare:
            for value in (*array.shape, *array.strides):
                give(value)

    def add(argument: Any) -> None:
        if isinstance(argument, Pointer):
            place(argument.array, bare=True)
        elif isinstance(argument, np.ndarray):
            place(argument, bare=False)
        elif isinstance(argument, tuple):
            for element in argument:
                add(element)
        elif isinstance(argument, complex | np.complexfloating):
            give(argument.real)
            give(argument.imag)
        else:
            give(argument)

    _check_dtypes(program, args)
    for argument in args:
        add(argument)
    if left:
        raise PtxError(
            f"kernel {program.name}: {len(left)} of its {len(program.parameters)} parameters are "
            "left over; an argument is missing, or an array has too few dimensions"
        )
    return values, pointers


def _check_dtypes(program: Program, args: Sequence[Any]) -> None:
    for number, (argument, dtype) in enumerate(zip(args, program.argument_dtypes, strict=False)):
        if dtype is None:
            continue
        if not isinstance(argument, np.ndarray) or argument.dtype != dtype:
            given = getattr(argument, "dtype", type(argument).__name__)
            raise PtxError(
                f"kernel {program.name}: argument {number} must be an array of {dtype}, not {given}"
            )


def _encode(program: Program, parameter: Variable, value: Any) -> bytes:
    """A number as the bytes of a parameter of that type."""
    size, type_name = parameter.size, parameter.type
    if isinstance(value, float | np.floating) and type_name[0] != "f":
        if size != 2:
            raise PtxError(
                f"kernel {program.name}: {value!r} for the integer parameter {parameter.name}"
            )
        if isinstance(value, np.float16):
            return value.tobytes()
        if type_name == "bf16":
            return to_bfloat16(np.array([value], np.float64), "rn").tobytes()
        return np.float16(value).tobytes()
    if type_name[0] == "f":
        return np.array(value, NUMPY_TYPE[type_name]).tobytes()
    if not isinstance(value, int | np.integer | np.bool_):
        raise PtxError(
            f"kernel {program.name}: {type(value).__name__} {value!r} for parameter "
            f"{parameter.name}; arrays, numbers, booleans and tuples of these are taken"
        )
    number = int(value)
    if not -(1 << 8 * size - 1) <= number < 1 << 8 * size:
        raise PtxError(f"{number} does not fit the {size}-byte parameter {parameter.name}")
    return (number & (1 << 8 * size) - 1).to_bytes(size, "little")
