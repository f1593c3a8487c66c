"""The micro-kernel: a few rows times a few vectors of columns, with all sums held in registers.

    c[m, n] = finish(start[m, n] + sum_k a[m, k] * b[k, n]),    m < ROWS, n < vectors * lanes

A matrix product is limited by the additions and multiplications only if every number loaded takes
part in many of them. Here ROWS * vectors sums live in vector registers while k runs: each step
loads `vectors` vectors of a row of b and ROWS numbers of a column of a, each spread over a vector,
and makes ROWS * vectors fused multiply-adds of them. BLAS has such a kernel inside, but behind a
copy of both matrices into its own order and with no way to do anything to a sum before it is
stored. Both matter here: a coupling network's matrices are small enough to be read in place, and
bias and ReLU cost nothing while the sums are in registers.

Numba's own loops do not give this: LLVM does not keep a two-dimensional block of sums in registers.
So the function is written in LLVM's intermediate language (vector_code.py). All sums of one
number run over k upwards, whatever block it lies in: equal rows give equal bits.

Source: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"; Van Zee &
van de Geijn 2015, "BLIS" (the micro-kernel).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic

from refglow.kernels.cpu.vector_code import INT, VectorCode
from refglow.kernels.cpu.vector_registers import REGISTERS

# With three vectors of columns: ROWS * 3 sums, three vectors of b and one of a must fit.
ROWS = 8 if REGISTERS >= 32 else 4
MOST_VECTORS = 3

# How a sum starts, and what is done to it before it is stored.
FROM_ZERO, FROM_EXTRA = 0, 1
STORE, RELU, MASK = 0, 1, 2


def _micro_product(vectors: int) -> Any:
    """The intrinsic for that many vectors of columns.

    Its arguments, addresses in bytes and strides in elements:

      a, stride of a row, stride of k
      b, stride of k
      c, stride of a row
      extra, stride of a row: what sums start from (FROM_EXTRA), or what masks them (MASK)
      length of k; how to start; how to finish: STORE; RELU, max(sum, 0), where NaN
      stays NaN; or MASK, sum * [extra > 0]
      one: the number 1 in the number type, float32 or float64

    Addresses rather than arrays, so that it is compiled once for each number type, not for each
    mixture of read-only and writable arrays.
    """
    def function(typing_context: Any, a: Any, a_row: Any, a_step: Any, b: Any, b_step: Any, c: Any,
                 c_row: Any, extra: Any, extra_row: Any, length: Any, start: Any, finish: Any,
                 one: Any) -> Any:
        signature = types.void(*[types.int64] * 12, one)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            code = VectorCode(builder, sig.args[12])
            _Block(code, vectors).emit(_Operand(code.pointer(args[0]), args[1], args[2]),
                                       _Operand(code.pointer(args[3]), None, args[4]),
                                       _Operand(code.pointer(args[5]), args[6], None),
                                       _Operand(code.pointer(args[7]), args[8], None),
                                       *args[9:12])
            return context.get_dummy_value()
        return signature, generate
    return intrinsic(function)


class _Operand:
    """A matrix in memory: where it starts, and how far apart its rows and its k are."""

    def __init__(self, pointer: Any, row: Any, step: Any) -> None:
        self.pointer, self.row, self.step = pointer, row, step


class _Block:
    """Emits one micro-kernel."""

    def __init__(self, code: VectorCode, vectors: int) -> None:
        self.code, self.builder, self.vectors = code, code.builder, vectors
        self.places = [(m, n) for m in range(ROWS) for n in range(vectors)]

    def emit(self, a: _Operand, b: _Operand, c: _Operand, extra: _Operand, length: Any,
             start: Any, finish: Any) -> None:
        sums = self.code.sums_over(length, self._started(extra, start),
                                   lambda k, running: self._step(a, b, k, running))
        self._store(c, extra, sums, finish)

    def _started(self, extra: _Operand, start: Any) -> list[Any]:
        builder = self.builder
        before = builder.block
        with builder.if_then(builder.icmp_signed("==", start, INT(FROM_EXTRA))):
            loaded = [self.code.load(self._at(extra, m, n)) for m, n in self.places]
            inside = builder.block
        sums = []
        for value in loaded:
            phi = builder.phi(self.code.vector)
            phi.add_incoming(value, inside)
            phi.add_incoming(self.code.zero, before)
            sums.append(phi)
        return sums

    def _step(self, a: _Operand, b: _Operand, k: Any, running: list[Any]) -> list[Any]:
        builder, code = self.builder, self.code
        row = builder.gep(b.pointer, [builder.mul(k, b.step)])
        columns = [code.load(code.beyond(row, INT(0), n)) for n in range(self.vectors)]
        offset = builder.mul(k, a.step)
        spread = [code.spread(builder.gep(a.pointer, [builder.add(
            offset, builder.mul(a.row, INT(m)))])) for m in range(ROWS)]
        return [code.fma(spread[m], columns[n], total)
                for (m, n), total in zip(self.places, running, strict=True)]

    def _store(self, c: _Operand, extra: _Operand, sums: list[Any], finish: Any) -> None:
        builder, code = self.builder, self.code
        plain, relu, mask, end = (builder.append_basic_block(name)
                                  for name in ("plain", "relu", "mask", "end"))
        switch = builder.switch(finish, plain)
        switch.add_case(INT(RELU), relu)
        switch.add_case(INT(MASK), mask)
        finishes: list[tuple[Any, Callable[[Any, int, int], Any]]] = [
            (plain, lambda value, m, n: value),
            (relu, lambda value, m, n: code.relu(value)),
            (mask, lambda value, m, n: builder.fmul(value, builder.select(
                builder.fcmp_ordered(">", code.load(self._at(extra, m, n)), code.zero),
                code.one, code.zero)))]
        for block, finished in finishes:
            builder.position_at_end(block)
            for (m, n), value in zip(self.places, sums, strict=True):
                code.store(finished(value, m, n), self._at(c, m, n))
            builder.branch(end)
        builder.position_at_end(end)

    def _at(self, operand: _Operand, m: int, n: int) -> Any:
        """The address of vector n of row m."""
        return self.code.beyond(operand.pointer, self.builder.mul(operand.row, INT(m)), n)


micro_product_1, micro_product_2, micro_product_3 = (_micro_product(n) for n in (1, 2, 3))
