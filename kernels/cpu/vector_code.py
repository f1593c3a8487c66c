"""Writing LLVM's intermediate language for vectors: what the micro-kernels have in common.

Numba's loops keep no block of sums in registers; the functions that must are written as the
language that Numba itself compiles to. Numbers are read and written by address (addresses.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from refglow.kernels.cpu.vector_registers import VECTOR_BYTES

INT = ir.IntType(64)


class VectorCode:
    """Emits operations on whole vector registers of one number type."""

    def __init__(self, builder: Any, number: Any) -> None:
        """Emit into `builder`, for `number`: Numba's float32 or float64."""
        self.builder = builder
        self.element, self.size = ((ir.FloatType(), 4) if number == types.float32
                                   else (ir.DoubleType(), 8))
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(self.element, self.lanes)
        self.zero = ir.Constant(self.vector, [0.0] * self.lanes)
        self.one = ir.Constant(self.vector, [1.0] * self.lanes)
        self._fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fma.v{self.lanes}f{8 * self.size}")

    def pointer(self, address: Any) -> Any:
        """A number as a pointer to elements."""
        return self.builder.inttoptr(address, self.element.as_pointer())

    def beyond(self, pointer: Any, elements: Any, vectors: int = 0) -> Any:
        """The pointer moved by so many elements, and by so many whole vectors."""
        if vectors:
            elements = self.builder.add(elements, INT(vectors * self.lanes))
        return self.builder.gep(pointer, [elements])

    def load(self, pointer: Any) -> Any:
        """The vector there."""
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()),
                                 align=self.size)

    def store(self, value: Any, pointer: Any) -> None:
        """Write the vector there."""
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer()),
                           align=self.size)

    def widened(self, pointer: Any) -> Any:
        """The numbers there, float32 or float64 as the pointer says, as many as there are lanes."""
        narrow = ir.VectorType(pointer.type.pointee, self.lanes)
        size = 4 if pointer.type.pointee == ir.FloatType() else 8
        numbers = self.builder.load(self.builder.bitcast(pointer, narrow.as_pointer()), align=size)
        return numbers if narrow == self.vector else self.builder.fpext(numbers, self.vector)

    def spread(self, pointer: Any) -> Any:
        """The one number there, in all lanes."""
        return self.everywhere(self.builder.load(pointer))

    def everywhere(self, number: Any) -> Any:
        """The number, in all lanes."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, number, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        return self.builder.call(self._fma, [a, b, c])

    def relu(self, value: Any) -> Any:
        """max(value, 0), where NaN stays NaN."""
        return self.builder.select(self.builder.fcmp_unordered(">", value, self.zero), value,
                                   self.zero)

    def sums_over(self, length: Any, starts: list[Any],
                  step: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """What the starts become by a step for each k from 0 to length - 1, held in registers.

        Args:
          length: how many steps; with none the starts are the result.
          starts: vectors.
          step: from k and the sums so far to the next sums.
        """
        builder = self.builder
        before, loop, done = (builder.block, builder.append_basic_block("k"),
                              builder.append_basic_block("done"))
        builder.cbranch(builder.icmp_signed(">", length, INT(0)), loop, done)
        builder.position_at_end(loop)
        k = builder.phi(INT)
        running = [builder.phi(self.vector) for _ in starts]
        following = builder.add(k, INT(1))
        added = step(k, running)
        for phi, first, later in zip([k, *running], [INT(0), *starts], [following, *added],
                                     strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, loop)
        builder.cbranch(builder.icmp_signed("<", following, length), loop, done)
        builder.position_at_end(done)
        return [self._one_of(before, start, loop, total)
                for start, total in zip(starts, added, strict=True)]

    def _one_of(self, block: Any, value: Any, other_block: Any, other: Any) -> Any:
        phi = self.builder.phi(self.vector)
        phi.add_incoming(value, block)
        phi.add_incoming(other, other_block)
        return phi
