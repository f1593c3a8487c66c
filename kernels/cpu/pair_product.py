"""The micro-kernel for pairs of pixels: four products, joined before they leave the registers.

    m_i[r, n] = sum_k v[r, i, k] * g[i, k, n]         0 <= i < 4
    y0[r, n] = relu(bias[n] + m0 + m1 + m2)
    y1[r, n] = relu(bias[n] + m1 - m2 - m3)

for a few rows r and vectors of columns n; pair_convolution.py says what they are. As in
micro_product.py, of which this is the counterpart, all sums live in registers while k runs.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from refglow.kernels.cpu.kernel_values import POINTS
from refglow.kernels.cpu.vector_code import INT, VectorCode
from refglow.kernels.cpu.vector_registers import REGISTERS

# Rows for one, two and three vectors of columns: 4 rows * vectors sums, these vectors of g and one
# of v must fit the registers. All divide micro_product's ROWS.
PAIR_ROWS_1, PAIR_ROWS_2, PAIR_ROWS_3 = (4, 2, 2) if REGISTERS >= 32 else (2, 1, 1)


def _pair_product(rows: int, vectors: int) -> Any:
    """The intrinsic for so many rows and vectors of columns.

    Its arguments, addresses in bytes and distances in elements:

      v: [rows, 4, length]
      g, row of g: [4, length, ...]
      y0, y1, row of both
      bias
      length of k
      one: the number 1 in the number type
    """
    def function(typing_context: Any, v: Any, g: Any, g_row: Any, y0: Any, y1: Any, y_row: Any,
                 bias: Any, length: Any, one: Any) -> Any:
        signature = types.void(*[types.int64] * 8, one)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            _Pairs(VectorCode(builder, sig.args[8]), rows, vectors).emit(*args[:8])
            return context.get_dummy_value()
        return signature, generate
    return intrinsic(function)


class _Pairs:
    """Emits one micro-kernel."""

    def __init__(self, code: VectorCode, rows: int, vectors: int) -> None:
        self.code, self.builder, self.rows, self.vectors = code, code.builder, rows, vectors

    def emit(self, v: Any, g: Any, g_row: Any, y0: Any, y1: Any, y_row: Any, bias: Any,
             length: Any) -> None:
        code, add, subtract = self.code, self.builder.fadd, self.builder.fsub
        starts = [code.zero] * (POINTS * self.rows * self.vectors)
        sums = code.sums_over(length, starts, lambda k, running: self._step(
            code.pointer(v), code.pointer(g), g_row, length, k, running))
        products = [sums[i::POINTS] for i in range(POINTS)]
        places = [(r, n) for r in range(self.rows) for n in range(self.vectors)]
        for (r, n), m0, m1, m2, m3 in zip(places, *products, strict=True):
            start = code.load(code.beyond(code.pointer(bias), INT(0), n))
            row = self.builder.mul(y_row, INT(r))
            left = add(add(add(m1, m2), m0), start)
            right = add(subtract(subtract(m1, m2), m3), start)
            for y, total in ((y0, left), (y1, right)):
                code.store(code.relu(total), code.beyond(code.pointer(y), row, n))

    def _step(self, v: Any, g: Any, g_row: Any, length: Any, k: Any, running: list[Any]
              ) -> list[Any]:
        """A step's sums, in the order of (row, vector, point)."""
        code, builder = self.code, self.builder
        added = list(running)
        for i in range(POINTS):
            step = builder.add(k, builder.mul(length, INT(i)))
            row = builder.gep(g, [builder.mul(step, g_row)])
            columns = [code.load(code.beyond(row, INT(0), n)) for n in range(self.vectors)]
            for r in range(self.rows):
                spread = code.spread(builder.gep(v, [builder.add(
                    step, builder.mul(length, INT(POINTS * r)))]))
                for n in range(self.vectors):
                    place = (r * self.vectors + n) * POINTS + i
                    added[place] = code.fma(spread, columns[n], running[place])
        return added


pair_product_1, pair_product_2, pair_product_3 = (
    _pair_product(rows, vectors) for vectors, rows in enumerate(
        (PAIR_ROWS_1, PAIR_ROWS_2, PAIR_ROWS_3), 1))
