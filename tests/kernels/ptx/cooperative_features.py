"""Feature kernels of threads together: memories, warps, barriers, atomics."""

import numpy as np
from features import F4, F8, I4, I8, feature, normal
from numba import cuda, float32, float64, int32, int64, uint32, uint64

# mypy: disable-error-code="no-untyped-def"


# Memories.


@feature((F4, F4), 4, 64, normal(256, 256), lambda x, out: {1: x.reshape(4, 64)[:, ::-1].ravel()})
def shared_memory_reversal(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = tile[63 - t]


@feature((F4, F4), 2, 96, normal(192, 192), lambda x, out: {1: x.reshape(2, 96)[:, ::-1].ravel()},
         shared_bytes=384)
def dynamic_shared_memory(x, out):
    tile = cuda.shared.array(0, float32)
    t = cuda.threadIdx.x
    tile[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    out[cuda.grid(1)] = tile[tile.size - 1 - t]


@feature((float32[:, ::1], float32[:, ::1]), (2, 3), (16, 16),
         lambda rng: (rng.normal(size=(48, 32)).astype(np.float32), np.zeros((32, 48), np.float32)),
         lambda x, out: {1: x.T})
def tiled_transpose(x, out):
    tile = cuda.shared.array((16, 17), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    bx, by = cuda.blockIdx.x * 16, cuda.blockIdx.y * 16
    tile[ty, tx] = x[by + ty, bx + tx]
    cuda.syncthreads()
    out[bx + ty, by + tx] = tile[tx, ty]


def matmul_reference(a, b, c):
    return {2: a.astype(np.float64) @ b.astype(np.float64)}


@feature((float32[:, ::1],) * 3, (3, 2), (16, 16),
         lambda rng: (rng.normal(size=(32, 64)).astype(np.float32),
                      rng.normal(size=(64, 48)).astype(np.float32), np.zeros((32, 48), np.float32)),
         matmul_reference, tolerance=64 * 1.2e-7 * 8)
def tiled_matrix_product(a, b, c):
    left = cuda.shared.array((16, 16), float32)
    right = cuda.shared.array((16, 16), float32)
    tx, ty = cuda.threadIdx.x, cuda.threadIdx.y
    x, y = cuda.grid(2)
    total = float32(0)
    for start in range(0, a.shape[1], 16):
        left[ty, tx] = a[y, start + tx]
        right[ty, tx] = b[start + ty, x]
        cuda.syncthreads()
        for k in range(16):
            total += left[ty, k] * right[k, tx]
        cuda.syncthreads()
    c[y, x] = total


@feature((float64[:, ::1],) * 3, (3, 2), (16, 16),
         lambda rng: (rng.normal(size=(32, 20)), rng.normal(size=(20, 48)), np.zeros((32, 48))),
         matmul_reference, tolerance=20 * 2.3e-16 * 8)
def plain_matrix_product_in_float64(a, b, c):
    x, y = cuda.grid(2)
    total = 0.0
    for k in range(a.shape[1]):
        total += a[y, k] * b[k, x]
    c[y, x] = total


@feature((F4, F4), 1, 64, normal(64, 64),
         lambda x, out: {1: np.array([np.sum(x[(i + np.arange(8)) % 64].astype(np.float64))
                                      for i in range(64)])}, tolerance=1e-5)
def local_memory(x, out):
    kept = cuda.local.array(8, float32)
    i = cuda.grid(1)
    for j in range(8):
        kept[(j * 3 + i) % 8] = x[(i + (j * 3 + i) % 8) % x.size]
    total = float32(0)
    for j in range(8):
        total += kept[(j + i) % 8]
    out[i] = total


TABLE = np.arange(8, dtype=np.float32) ** 2


@feature((F4, F4), 1, 64, normal(64, 64), lambda x, out: {1: x + TABLE[np.arange(64) % 8]})
def constant_memory(x, out):
    table = cuda.const.array_like(TABLE)
    i = cuda.grid(1)
    out[i] = x[i] + table[i % 8]


# Warps.


@feature((F4, F4), 2, 64, normal(128, 128),
         lambda x, out: {1: np.repeat(x.astype(np.float64).reshape(-1, 32).sum(1), 32)},
         tolerance=1e-5)
def warp_sum_by_butterfly(x, out):
    value = x[cuda.grid(1)]
    for distance in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, distance)
    out[cuda.grid(1)] = value


def shuffled(x, out):
    rows, lane = x.reshape(-1, 32), np.arange(32)
    down = np.where(lane + 3 < 32, np.roll(rows, -3, 1), rows)
    up = np.where(lane - 5 >= 0, np.roll(rows, 5, 1), rows)
    return {1: (down * 2 + up * 3 + rows[:, 7:8]).ravel()}


@feature((F8, F8), 2, 64, normal(128, 128, dtype=np.float64), shuffled, tolerance=1e-15)
def shuffles_of_float64(x, out):
    value = x[cuda.grid(1)]
    down = cuda.shfl_down_sync(0xFFFFFFFF, value, 3)
    up = cuda.shfl_up_sync(0xFFFFFFFF, value, 5)
    out[cuda.grid(1)] = down * 2 + up * 3 + cuda.shfl_sync(0xFFFFFFFF, value, 7)


def voted(x, out):
    rows = x.reshape(-1, 32) > 0
    ballot = (rows * (1 << np.arange(32, dtype=np.int64))).sum(1)
    result = ballot * 8 + rows.all(1) * 4 + rows.any(1) * 2 + (rows.all(1) | ~rows.any(1))
    return {1: np.repeat(result, 32)}


@feature((F4, I8), 2, 64,
         lambda rng: (np.repeat([1, -1], 64).astype(np.float32)
                      * np.where(np.arange(128) < 32, 1, rng.normal(size=128)).astype(np.float32),
                      np.zeros(128, np.int64)), voted)
def votes(x, out):
    held = x[cuda.grid(1)] > 0
    every = cuda.all_sync(0xFFFFFFFF, held)
    some = cuda.any_sync(0xFFFFFFFF, held)
    equal = cuda.eq_sync(0xFFFFFFFF, held)
    ballot = int64(uint32(cuda.ballot_sync(0xFFFFFFFF, held)))
    out[cuda.grid(1)] = ballot * 8 + (4 if every else 0) + (2 if some else 0) + (1 if equal else 0)


def matched(x, out):
    rows = x.reshape(-1, 32)
    masks = [[sum(1 << j for j in range(32) if row[j] == v) for v in row] for row in rows]
    return {1: np.array(masks, np.int64).ravel()}


@feature((I4, I8), 1, 64,
         lambda rng: (rng.integers(0, 4, 64).astype(np.int32), np.zeros(64, np.int64)), matched)
def matches(x, out):
    out[cuda.grid(1)] = int64(uint32(cuda.match_any_sync(0xFFFFFFFF, x[cuda.grid(1)])))


@feature((I4,), 1, 48, lambda rng: (np.zeros(48, np.int32),),
         lambda out: {0: np.concatenate([np.where(np.arange(32) % 2 == 0, 16, 0),
                                         np.where(np.arange(16) % 2 == 0, 8, 0)])})
def active_mask_of_a_divergent_half_warp(out):
    i = cuda.grid(1)
    if i % 2 == 0:
        out[i] = cuda.popc(cuda.activemask())


@feature((F4, F4), 1, 48, normal(48, 48),
         lambda x, out: {1: np.concatenate([x[:32][np.arange(32) ^ 1], x[32:][np.arange(16) ^ 1]])})
def shuffle_in_an_incomplete_warp(x, out):
    i = cuda.grid(1)
    out[i] = cuda.shfl_xor_sync(0xFFFFFFFF, x[i], 1)


@feature((F4, F4), 1, 64, normal(64, 64), lambda x, out: {1: x.reshape(2, 32)[:, ::-1].ravel()})
def exchange_within_a_warp_by_syncwarp(x, out):
    tile = cuda.shared.array(64, float32)
    t = cuda.threadIdx.x
    tile[t] = x[t]
    cuda.syncwarp()
    out[t] = tile[(t // 32) * 32 + 31 - t % 32]


# Barriers and atomics.


@feature((F4, F4), 2, 128, lambda rng: (*normal(256)(rng), np.zeros(2, np.float32)),
         lambda x, out: {1: x.astype(np.float64).reshape(2, 128).sum(1)}, tolerance=1e-5)
def block_sum_in_shared_memory(x, out):
    tile = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    tile[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    half = 64
    while half > 0:
        if t < half:
            tile[t] += tile[t + half]
        cuda.syncthreads()
        half //= 2
    if t == 0:
        out[cuda.blockIdx.x] = tile[0]


@feature((I4, I4), 2, 64,
         lambda rng: (rng.integers(0, 2, 128).astype(np.int32), np.zeros(128, np.int32)),
         lambda x, out: {1: np.repeat(x.reshape(2, 64).sum(1), 64) * 4 + 2})
def barrier_reductions(x, out):
    i = cuda.grid(1)
    count = cuda.syncthreads_count(x[i])
    every = cuda.syncthreads_and(x[i])
    some = cuda.syncthreads_or(x[i])
    out[i] = count * 4 + (2 if some != 0 else 0) + (1 if every != 0 else 0)


@feature((I4, I4), 4, 64,
         lambda rng: (rng.integers(0, 10, 256).astype(np.int32), np.zeros(10, np.int32)),
         lambda x, out: {1: np.bincount(x, minlength=10).astype(np.int32)})
def histogram_by_shared_atomics(x, out):
    bins = cuda.shared.array(10, int32)
    t = cuda.threadIdx.x
    if t < 10:
        bins[t] = 0
    cuda.syncthreads()
    cuda.atomic.add(bins, x[cuda.grid(1)], 1)
    cuda.syncthreads()
    if t < 10:
        cuda.atomic.add(out, t, bins[t])


def atomic_reference(x, ints, floats, doubles):
    return {1: np.array([x.sum(), x.max(), x.min(), -x.sum(), np.bitwise_or.reduce(x),
                         np.bitwise_xor.reduce(x)], np.int32),
            2: np.array([x.sum(), x.max(), x.min()], np.float32),
            3: np.array([x.sum(), x.max(), x.min()], np.float64)}


@feature((I4, I4, F4, F8), 4, 64,
         lambda rng: (rng.integers(-50, 50, 256).astype(np.int32), np.zeros(6, np.int32),
                      np.zeros(3, np.float32), np.zeros(3)), atomic_reference)
def atomics_of_every_type(x, ints, floats, doubles):
    value = x[cuda.grid(1)]
    cuda.atomic.add(ints, 0, value)
    cuda.atomic.max(ints, 1, value)
    cuda.atomic.min(ints, 2, value)
    cuda.atomic.sub(ints, 3, value)
    cuda.atomic.or_(ints, 4, value)
    cuda.atomic.xor(ints, 5, value)
    cuda.atomic.add(floats, 0, float32(value))
    cuda.atomic.max(floats, 1, float32(value))
    cuda.atomic.min(floats, 2, float32(value))
    cuda.atomic.add(doubles, 0, float64(value))
    cuda.atomic.max(doubles, 1, float64(value))
    cuda.atomic.min(doubles, 2, float64(value))


@feature((uint64[::1], I8), 3, 64, lambda rng: (np.zeros(1, np.uint64), np.zeros(192, np.int64)),
         lambda counter, out: {0: np.array([192], np.uint64), 1: np.ones(192, np.int64)})
def tickets_are_all_different(counter, out):
    ticket = cuda.atomic.add(counter, 0, uint64(1))
    cuda.atomic.add(out, int64(ticket), 1)


@feature((uint32[::1],), 2, 50, lambda rng: (np.zeros(2, np.uint32),),
         lambda out: {0: np.array([100 % 7, (-100) % 7], np.uint32)})
def wrapping_increment_and_decrement(out):
    cuda.atomic.inc(out, 0, uint32(6))
    cuda.atomic.dec(out, 1, uint32(6))


@feature((I4, I4), 2, 32, lambda rng: (np.full(1, -1, np.int32), np.zeros(1, np.int32)),
         lambda owner, winners: {0: np.zeros(1, np.int32), 1: np.ones(1, np.int32)})
def compare_and_swap_has_one_winner(owner, winners):
    if cuda.atomic.cas(owner, 0, -1, cuda.grid(1)) == -1:
        cuda.atomic.add(winners, 0, 1)
