"""Four runs of numbers merged into one, number by number, and taken apart again, in vectors.

A pixel of the squeezed image has four runs of c numbers, two side by side in the upper row of the
image and two in the lower one:

    squeezed[4 k + m] = (upper, upper + c, lower, lower + c)[m][k],    k < c, m < 4

The compiler finds no vectors in loops that do this for a number of channels known only at run time.
For the numbers that Glow has most (`PIXELS`) the vectors are therefore written out, each for some
pixels at once; for others, RUN numbers of a pixel's runs are taken at a time, then what is left.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from refglow.kernels.cpu.addresses import load, size_of, store
from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.memory import instruction

# c -> how many squeezed pixels are made at a time. A grey image has c = 1, 2, 4 at its levels, a
# coloured one 3, 6, 12. Two rows of 2 c numbers each, of so many pixels, are one to two vectors.
PIXELS = {1: 8, 2: 4, 3: 2, 4: 2, 6: 2, 12: 1}

# Numbers of each run that are handled at a time for another c.
RUN = 4


@compiled
def interleave(c: int, upper: int, lower: int, pixels: int, squeezed: int, one: Any) -> None:
    """The squeezed pixels from the two rows.

    Args:
      c: channels of the image.
      upper, lower: addresses of [pixels, 2, c].
      pixels: how many squeezed ones.
      squeezed: address of [pixels, 4 c].
      one: 1 in the number type.
    """
    size = size_of(one)
    for pixel in range(_interleave_groups(c, upper, lower, pixels, squeezed, one), pixels):
        a, b = upper + pixel * 2 * c * size, lower + pixel * 2 * c * size
        to = squeezed + pixel * 4 * c * size
        whole = c // RUN * RUN
        for k in range(0, whole, RUN):
            _interleave_runs(a + k * size, b + k * size, c, to + 4 * k * size, one)
        for k in range(whole, c):
            store(to, 4 * k, load(a, k, one))
            store(to, 4 * k + 1, load(a, c + k, one))
            store(to, 4 * k + 2, load(b, k, one))
            store(to, 4 * k + 3, load(b, c + k, one))


@compiled
def deinterleave(c: int, squeezed: int, pixels: int, upper: int, lower: int, one: Any) -> None:
    """The two rows from the squeezed pixels; see `interleave`."""
    size = size_of(one)
    for pixel in range(_deinterleave_groups(c, upper, lower, pixels, squeezed, one), pixels):
        a, b = upper + pixel * 2 * c * size, lower + pixel * 2 * c * size
        origin = squeezed + pixel * 4 * c * size
        whole = c // RUN * RUN
        for k in range(0, whole, RUN):
            _deinterleave_runs(a + k * size, b + k * size, c, origin + 4 * k * size, one)
        for k in range(whole, c):
            store(a, k, load(origin, 4 * k, one))
            store(a, c + k, load(origin, 4 * k + 1, one))
            store(b, k, load(origin, 4 * k + 2, one))
            store(b, c + k, load(origin, 4 * k + 3, one))


# ---- vectors ------------------------------------------------------------------------------------


@instruction
def _interleave_runs(typing_context: Any, upper: Any, lower: Any, c: Any, squeezed: Any,
                     one: Any) -> Any:
    """RUN numbers of each of a pixel's runs."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = _Vectors(context, builder, one)
        a, b, distance, to, _ = arguments
        rows = [builder.shuffle_vector(vectors.load(row, RUN),
                                       vectors.load(vectors.behind(row, distance), RUN),
                                       _mask(range(2 * RUN))) for row in (a, b)]
        vectors.store(builder.shuffle_vector(*rows, _mask(_order(RUN, 1))), to)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, one), generate


@instruction
def _deinterleave_runs(typing_context: Any, upper: Any, lower: Any, c: Any, squeezed: Any,
                       one: Any) -> Any:
    """The reverse."""
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = _Vectors(context, builder, one)
        a, b, distance, origin, _ = arguments
        merged = vectors.load(origin, 4 * RUN)
        for m, to in enumerate((a, vectors.behind(a, distance), b, vectors.behind(b, distance))):
            run = builder.shuffle_vector(merged, merged, _mask(range(m, 4 * RUN, 4)))
            vectors.store(run, to)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4, one), generate


class _Vectors:
    """Emits loads and stores of vectors of one number type, by address."""

    def __init__(self, context: Any, builder: Any, number: Any) -> None:
        self.builder, self.element = builder, context.get_data_type(number)
        self.size = int(number.bitwidth // 8)

    def behind(self, address: Any, numbers: Any) -> Any:
        """The address of what is so many numbers behind."""
        return self.builder.add(address, self.builder.mul(numbers, _int(self.size)))

    def load(self, address: Any, lanes: int) -> Any:
        return self.builder.load(self._place(address, lanes), align=self.size)

    def store(self, vector: Any, address: Any) -> None:
        self.builder.store(vector, self._place(address, vector.type.count), align=self.size)

    def _place(self, address: Any, lanes: int) -> Any:
        return self.builder.inttoptr(address, ir.VectorType(self.element, lanes).as_pointer())


def _groups(vectors: _Vectors, arguments: Any, move: Any) -> Any:
    """A loop for every c in PIXELS, and a switch between them; the number of pixels moved."""
    builder = vectors.builder
    c, upper, lower, pixels, squeezed, _ = arguments
    moved = cgutils.alloca_once_value(builder, _int(0))
    end = builder.append_basic_block("moved")
    switch = builder.switch(c, end)
    for channels, group in PIXELS.items():
        block = builder.append_basic_block(f"of_{channels}_channels")
        switch.add_case(_int(channels), block)
        builder.position_at_end(block)
        groups = builder.sdiv(pixels, _int(group))
        row = 2 * channels * group
        with cgutils.for_range(builder, groups, intp=ir.IntType(64)) as loop:
            in_rows = builder.mul(loop.index, _int(row))
            move(vectors, channels, group, vectors.behind(upper, in_rows),
                 vectors.behind(lower, in_rows),
                 vectors.behind(squeezed, builder.mul(in_rows, _int(2))))
        builder.store(builder.mul(groups, _int(group)), moved)
        builder.branch(end)
    builder.position_at_end(end)
    return builder.load(moved)


def _interleaved(vectors: _Vectors, c: int, group: int, upper: Any, lower: Any,
                 squeezed: Any) -> None:
    rows = [vectors.load(row, 2 * c * group) for row in (upper, lower)]
    vectors.store(vectors.builder.shuffle_vector(*rows, _mask(_order(c, group))), squeezed)


def _deinterleaved(vectors: _Vectors, c: int, group: int, upper: Any, lower: Any,
                   squeezed: Any) -> None:
    merged, order = vectors.load(squeezed, 4 * c * group), _order(c, group)
    places = [order.index(i) for i in range(len(order))]
    for row, half in ((upper, places[:len(places) // 2]), (lower, places[len(places) // 2:])):
        vectors.store(vectors.builder.shuffle_vector(merged, merged, _mask(half)), row)


def _moves_groups(move: Any) -> Any:
    """The instruction that moves as many pixels as go in whole groups.

    It returns how many: 0 for a c that is not in PIXELS.
    """
    def generator(typing_context: Any, c: Any, upper: Any, lower: Any, pixels: Any, squeezed: Any,
                  one: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _groups(_Vectors(context, builder, one), arguments, move)

        return types.int64(*[types.int64] * 5, one), generate
    return instruction(generator)


_interleave_groups, _deinterleave_groups = map(_moves_groups, (_interleaved, _deinterleaved))


def _order(c: int, group: int) -> list[int]:
    """Where each number of the squeezed pixels is in the upper row followed by the lower one."""
    return [(m // 2 * group + pixel) * 2 * c + m % 2 * c + k
            for pixel in range(group) for k in range(c) for m in range(4)]


def _int(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _mask(places: Any) -> Any:
    numbers = [ir.Constant(ir.IntType(32), place) for place in places]
    return ir.Constant(ir.VectorType(ir.IntType(32), len(numbers)), numbers)
