"""Feature kernels of single threads: control flow, integers, storage types, arguments."""

import numpy as np
from features import F4, F8, I4, I8, feature, normal
from numba import boolean, cuda, float32, float64, int32, int64, types, uint8, uint32
from numba.cuda import libdevice
from numba.cuda.types import float16

# mypy: disable-error-code="no-untyped-def"


# Threads, blocks, control flow.


@feature((I4,), 3, 40, lambda rng: (np.zeros(100, np.int32),),
         lambda out: {0: np.arange(100, dtype=np.int32)})
def bounds_check_at_a_ragged_end(out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = i


@feature((int32[:, :, ::1],), (2, 2, 2), (4, 3, 2), lambda rng: (np.zeros((4, 6, 8), np.int32),),
         lambda out: {0: np.arange(192, dtype=np.int32).reshape(4, 6, 8)})
def three_dimensional_grid(out):
    x, y, z = cuda.grid(3)
    out[z, y, x] = x + 8 * y + 48 * z


@feature((I4,), 2, 32, lambda rng: (np.zeros(1000, np.int32),),
         lambda out: {0: np.arange(1000, dtype=np.int32) * 3})
def grid_stride_loop(out):
    for i in range(cuda.grid(1), out.size, cuda.gridsize(1)):
        out[i] = 3 * i


def collatz_steps(n):
    steps = 0
    while n != 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


@feature((I4, I4), 4, 50,
         lambda rng: (np.arange(1, 201, dtype=np.int32), np.zeros(200, np.int32)),
         lambda x, out: {1: np.array([collatz_steps(int(n)) for n in x], np.int32)})
def divergent_while_loop(x, out):
    i = cuda.grid(1)
    n = x[i]
    steps = 0
    while n != 1:
        if n % 2 == 0:
            n //= 2
        else:
            n = 3 * n + 1
        steps += 1
    out[i] = steps


def nested_reference(x, out):
    return {1: np.array([sum(j * k for j in range(n % 7) for k in range(j) if k != 3)
                         for n in x.tolist()], np.int32)}


@feature((I4, I4), 2, 64, lambda rng: (np.arange(128, dtype=np.int32), np.zeros(128, np.int32)),
         nested_reference)
def nested_loops_with_continue(x, out):
    i = cuda.grid(1)
    total = 0
    for j in range(x[i] % 7):
        for k in range(j):
            if k == 3:
                continue
            total += j * k
    out[i] = total


@feature((I4,), 1, 64, lambda rng: (np.zeros(64, np.int32),),
         lambda out: {0: np.where(np.arange(64) % 3 == 0, 7, 0).astype(np.int32)})
def early_return(out):
    i = cuda.grid(1)
    if i % 3 != 0:
        return
    out[i] = 7


# Integers.


@feature((I4, I4, I4), 2, 64,
         lambda rng: (rng.integers(-99, 99, 128).astype(np.int32),
                      rng.integers(1, 50, 128).astype(np.int32), np.zeros(128, np.int32)),
         lambda x, y, out: {2: (x // y) * 100 + x % y + (x << (y & 7)) + (x >> 2) + (x ^ y)
                            - (~x | y) + abs(x) + np.minimum(x, y)})
def integer_operators(x, y, out):
    i = cuda.grid(1)
    a, b = x[i], y[i]
    out[i] = (
        (a // b) * 100 + a % b + (a << (b & 7)) + (a >> 2) + (a ^ b) - (~a | b) + abs(a) + min(a, b)
    )


@feature((I8, I8, I8), 2, 64,
         lambda rng: (rng.integers(-(2**60), 2**60, 128), rng.integers(-(2**31), 2**31, 128) | 1,
                      np.zeros(128, np.int64)),
         lambda x, y, out: {2: x // y + x % y + x * y})
def integer_operators_of_64_bits(x, y, out):
    i = cuda.grid(1)
    out[i] = x[i] // y[i] + x[i] % y[i] + x[i] * y[i]


@feature((uint32[::1], uint32[::1]), 1, 64,
         lambda rng: (rng.integers(1, 2**32, 64, dtype=np.uint64).astype(np.uint32),
                      np.zeros(64, np.uint32)),
         lambda x, out: {1: np.array([int(v).bit_count() + 32 - int(v).bit_length()
                                      + int(f"{int(v):032b}"[::-1], 2) + (v & -v).bit_length()
                                      & 0xFFFFFFFF for v in x.tolist()], np.uint32)})
def bit_functions(x, out):
    i = cuda.grid(1)
    out[i] = cuda.popc(x[i]) + cuda.clz(x[i]) + cuda.brev(x[i]) + cuda.ffs(x[i])


# Storage of other types, with float32 arithmetic.


@feature((float16[::1], float16[::1]), 2, 64,
         lambda rng: (rng.normal(size=128).astype(np.float16), np.zeros(128, np.float16)),
         lambda x, out: {1: (np.float32(3) * x.astype(np.float32)).astype(np.float16)})
def float16_storage(x, out):
    i = cuda.grid(1)
    out[i] = float16(float32(3) * float32(x[i]))


def to_bfloat16_bits(x):
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


@feature((types.uint16[::1], types.uint16[::1]), 2, 64,
         lambda rng: (to_bfloat16_bits(rng.normal(size=128).astype(np.float32)),
                      np.zeros(128, np.uint16)),
         lambda x, out: {1: to_bfloat16_bits(
             np.float32(3) * (x.astype(np.uint32) << 16).view(np.float32))})
def bfloat16_storage_as_16_bits(x, out):
    i = cuda.grid(1)
    value = libdevice.int_as_float(int32(uint32(x[i]) << uint32(16)))
    bits = uint32(libdevice.float_as_int(float32(3) * value))
    rounded = uint32(bits + uint32(0x7FFF) + ((bits >> uint32(16)) & uint32(1)))
    out[i] = types.uint16(rounded >> uint32(16))


@feature((uint8[::1], uint8[::1]), 2, 64,
         lambda rng: (rng.integers(0, 256, 128).astype(np.uint8), np.zeros(128, np.uint8)),
         lambda x, out: {1: (x * np.uint8(3) + np.uint8(1)).astype(np.uint8)})
def bytes_wrap_around(x, out):
    i = cuda.grid(1)
    out[i] = uint8(x[i] * 3 + 1)


@feature((boolean[::1], F4, F4), 1, 64,
         lambda rng: (rng.random(64) < 0.5, *normal(64, 64)(rng)),
         lambda m, x, out: {2: np.where(m, x, out)})
def boolean_masks(mask, x, out):
    i = cuda.grid(1)
    if mask[i]:
        out[i] = x[i]


@feature((F4, F8, I4, I8), 1, 64,
         lambda rng: (rng.uniform(-9, 9, 64).astype(np.float32), np.zeros(64),
                      np.zeros(64, np.int32), np.zeros(64, np.int64)),
         lambda x, *_: {1: x.astype(np.float64) * 2 + np.rint(x),
                        2: np.trunc(x).astype(np.int32), 3: np.floor(x).astype(np.int64)})
def casts(x, doubles, ints, longs):
    i = cuda.grid(1)
    doubles[i] = float64(x[i]) * 2 + round(float64(x[i]))
    ints[i] = int32(x[i])
    longs[i] = int64(libdevice.floorf(x[i]))


# Arguments.


@feature((F4, F4, float32, int32, boolean, types.UniTuple(int64, 2), types.complex64), 1, 64,
         lambda rng: (*normal(64, 64)(rng), 2.5, 60, True, (3, 4), 1 + 2j),
         lambda x, out, *_: {1: np.where(np.arange(64) < 60,
                                         x * np.float32(2.5) + np.float32(15), out)})
def scalar_arguments(x, out, factor, count, flag, pair, number):
    i = cuda.grid(1)
    if flag and i < count:
        out[i] = float32(x[i] * factor + float32(pair[0] * pair[1] + number.real + number.imag))


@feature((float32[:, :], float32[::1, :], F4), 1, 32,
         lambda rng: (np.arange(640, dtype=np.float32).reshape(64, 10)[::2, 1::3],
                      np.asfortranarray(rng.normal(size=(32, 3)).astype(np.float32)),
                      np.zeros(32, np.float32)),
         lambda a, f, out: {2: a[:, 2] + f[:, 1]})
def strided_and_fortran_arrays(a, f, out):
    i = cuda.grid(1)
    out[i] = a[i, 2] + f[i, 1]


@feature((F4, F4), 1, 32, lambda rng: (lambda x: (x[::-1].copy(), x))(*normal(32)(rng)),
         lambda x, out: {1: out + x[-1]})
def negative_indices_wrap(x, out):
    i = cuda.grid(1)
    out[i] += x[-1]
