"""Substitution in registers: a few unknowns of a triangular system, for a few vectors of pixels.

Unknown i is row i of a tile, one pixel beside the other. With N the negated factor beside its
diagonal d, a block of unknowns from i on takes what those before it contribute, and is then solved
in itself:

    s_m = x_m + sum_{k<i} N_mk x_k          a product, as in micro_product.py
    x_m = (s_m + sum_{i<=j<m} N_mj x_j) / d_m,      one m after the other

Rows are as far apart as the caller says, and the factor's rows and columns are. So the one kernel
serves a factor and its transpose, and, from the last row on with negative distances, an upper
triangle as well as a lower one.

Source: Van Zee & van de Geijn 2015, "BLIS" (its gemmtrsm micro-kernel); micro_product.py says why
it is written in LLVM's language.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from refglow.kernels.cpu.vector_code import INT, VectorCode
from refglow.kernels.cpu.vector_registers import REGISTERS

# Sums of 4 unknowns, as many vectors of an unknown solved before, and one number of the factor.
UNKNOWNS = 4
VECTORS = 4 if REGISTERS >= 32 else 2


def _micro_substitution(unknowns: int, divides: bool) -> Any:
    """The intrinsic for that many unknowns; `divides`: by the diagonal, or it is all ones.

    Its arguments, addresses in bytes and distances in elements:

      tile, distance of rows: of unknown 0
      factor, distance of rows, distance of columns: of N_00
      reciprocals, their distance: of 1 / d_0; read if it divides
      first: i, how many unknowns are solved
      one: the number 1 in the number type
    """
    def function(typing_context: Any, tile: Any, tile_row: Any, factor: Any, factor_row: Any,
                 factor_column: Any, reciprocals: Any, reciprocal_step: Any, first: Any,
                 one: Any) -> Any:
        signature = types.void(*[types.int64] * 8, one)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            _Block(VectorCode(builder, sig.args[8]), args).emit(unknowns, divides)
            return context.get_dummy_value()
        return signature, generate
    return intrinsic(function)


class _Block:
    """Emits one micro-kernel."""

    def __init__(self, code: VectorCode, args: Any) -> None:
        self.code, self.builder = code, code.builder
        self.tile, self.factor, self.reciprocals = map(code.pointer, (args[0], args[2], args[5]))
        self.tile_row, self.reciprocal_step, self.first = args[1], args[6], args[7]
        self.factor_row, self.factor_column = args[3], args[4]

    def emit(self, unknowns: int, divides: bool) -> None:
        rows = [self.builder.add(self.first, INT(m)) for m in range(unknowns)]
        starts = [value for row in rows for value in self._unknown(row)]
        sums = self.code.sums_over(self.first, starts, lambda k, running: self._added(
            rows, k, self._unknown(k), running))
        for m, row in enumerate(rows):
            own, later = sums[m * VECTORS:(m + 1) * VECTORS], sums[(m + 1) * VECTORS:]
            if divides:
                reciprocal = self.code.spread(self._at(
                    self.reciprocals, row, self.reciprocal_step))
                own = [self.builder.fmul(value, reciprocal) for value in own]
            for n, value in enumerate(own):
                self.code.store(value, self._vector(row, n))
            sums[(m + 1) * VECTORS:] = self._added(rows[m + 1:], row, own, later)

    def _added(self, rows: list[Any], k: Any, solved: list[Any], sums: list[Any]) -> list[Any]:
        """The sums of these rows with N_mk x_k added."""
        numbers = [self.code.spread(self.code.beyond(
            self._at(self.factor, row, self.factor_row),
            self.builder.mul(k, self.factor_column))) for row in rows]
        return [self.code.fma(numbers[place // VECTORS], solved[place % VECTORS], total)
                for place, total in enumerate(sums)]

    def _unknown(self, row: Any) -> list[Any]:
        return [self.code.load(self._vector(row, n)) for n in range(VECTORS)]

    def _vector(self, row: Any, n: int) -> Any:
        return self.code.beyond(self.tile, self.builder.mul(row, self.tile_row), n)

    def _at(self, pointer: Any, place: Any, distance: Any) -> Any:
        return self.code.beyond(pointer, self.builder.mul(place, distance))


solve_some, solve_one = (_micro_substitution(count, False) for count in (UNKNOWNS, 1))
divide_some, divide_one = (_micro_substitution(count, True) for count in (UNKNOWNS, 1))
