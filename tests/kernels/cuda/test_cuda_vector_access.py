"""Loads and stores: 16-bit numbers converted, 16 bytes at once; and what mistakes look like."""

import importlib.util
import inspect
import re

import ml_dtypes
import numpy as np
import pytest
from numba import cuda
from variant_checks import check_variant

from refglow.kernels import ptx
from refglow.kernels.cuda import (
    coupling_elements,
    coupling_kernels,
    coupling_variants,
    squeeze_kernels,
)
from refglow.kernels.cuda.device import device_of, stand_in
from refglow.kernels.cuda.indexing import quotient
from refglow.kernels.cuda.kernel import Kernel
from refglow.kernels.cuda.reduction import block_sum, compensated_sum, sums_of_rows
from refglow.kernels.cuda.stand_ins import InterpretedDevice
from refglow.kernels.cuda.storage import load, store
from refglow.kernels.cuda.vector_access import (
    MOST_LANES,
    SHARED_ALIGNMENT,
    lanes_of,
    load_vector,
    store_vector,
)

THREADS = 64
TILE = THREADS * MOST_LANES


def converted_singly(source, target, size):
    i = cuda.grid(1)
    while i < size:
        store(target, i, load(source, i))
        i += cuda.gridsize(1)


def converted_by_vectors(source, wide, target, size):
    """Stored numbers to `target` and, 16 bytes of them at a time, through the type of `wide`."""
    registers = cuda.local.array(MOST_LANES, wide.dtype)
    i = cuda.grid(1) * lanes_of(source)
    while i < size:
        load_vector(source, i, registers, 0)
        for lane in range(lanes_of(source)):
            store(wide, i + lane, registers[lane])
        store_vector(target, i, registers, 0)
        i += cuda.gridsize(1) * lanes_of(source)


def reversed_vectors(source, target, size):
    """The vectors of one block in reverse order, through shared memory."""
    tile = cuda.shared.array(TILE, source.dtype, SHARED_ALIGNMENT)
    registers = cuda.local.array(MOST_LANES, source.dtype)
    i = cuda.threadIdx.x * lanes_of(source)
    load_vector(source, i, registers, 0)
    store_vector(tile, i, registers, 0)
    cuda.syncthreads()
    load_vector(tile, size - lanes_of(source) - i, registers, 0)
    store_vector(target, i, registers, 0)


def quotients(a, b, results):
    i = cuda.grid(1)
    if i < a.size:
        results[i] = quotient(a[i], b[i])


def summed_twice(values, sums):
    """The sum over a block, and of the squares with the same shared array at once after it."""
    scratch = cuda.shared.array(THREADS, values.dtype)
    value = values[cuda.threadIdx.x]
    first = block_sum(value, scratch)
    second = block_sum(value * value, scratch)
    if cuda.threadIdx.x == 0:
        sums[0] = first
        sums[1] = second


def running_sum(values, sums):
    total = values.dtype.type(0)
    lost = values.dtype.type(0)
    for i in range(values.size):
        total, lost = compensated_sum(total, lost, values[i])
    sums[0] = total
    sums[1] = total + lost


def launched(kernel, grid, block, *arguments):
    device_of(*(argument for argument in arguments if isinstance(argument, np.ndarray))).launch(
        Kernel(kernel), grid, block, *arguments)


def floats_of_all_kinds(count):
    """Random bits, and numbers halfway between two 16-bit numbers, or just beside."""
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**32, count, dtype=np.uint32)
    halfway = bits[: count // 2] & np.uint32(0xFFFF0000)
    beside = generator.integers(-1, 2, halfway.size)
    bits[: count // 2] = halfway + (np.int64(0x8000) + beside).astype(np.uint32)
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    special = np.array([0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 1e-45, 65519, 65520,
                        5.9604645e-8, 2.9802322e-8, 2.98e-8], np.float32)
    between = (halves[:-1] + halves[1:]) / 2
    numbers = np.concatenate([bits.view(np.float32), special, between])
    return numbers[: numbers.size // MOST_LANES * MOST_LANES]


def same(a, b):
    """Equal bit by bit, except that one NaN is as good as another."""
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b))
    kept = ~np.isnan(a)
    np.testing.assert_array_equal(a[kept], b[kept])
    np.testing.assert_array_equal(np.signbit(a[kept]), np.signbit(b[kept]))


def check_single_conversions(count):
    numbers = floats_of_all_kinds(count)[:: 1 if count > 1000 else 64]
    with np.errstate(over="ignore", invalid="ignore"):
        expected_half, expected_bfloat = numbers.astype(np.float16), numbers.astype(
            ml_dtypes.bfloat16)
    half, bfloat = np.zeros(numbers.size, np.float16), np.zeros(numbers.size, np.uint16)
    launched(converted_singly, 4, THREADS, numbers, half, numbers.size)
    launched(converted_singly, 4, THREADS, numbers, bfloat, numbers.size)
    same(half.astype(np.float32), expected_half.astype(np.float32))
    same(bfloat.view(ml_dtypes.bfloat16).astype(np.float32), expected_bfloat.astype(np.float32))
    for stored, meant in ((half, half), (bfloat, bfloat.view(ml_dtypes.bfloat16))):
        wide = np.zeros(numbers.size, np.float32)
        launched(converted_singly, 4, THREADS, stored, wide, numbers.size)
        same(wide, meant.astype(np.float32))


def check_vectors(dtype, wide_dtype, count):
    bits = np.random.default_rng(1).integers(0, 2**16, (count, np.dtype(dtype).itemsize // 2))
    source = bits.astype(np.uint16).view(dtype).ravel()
    wide, target = np.zeros(count, wide_dtype), np.zeros(count, dtype)
    launched(converted_by_vectors, 2, THREADS, source, wide, target, count)
    stored_as = ml_dtypes.bfloat16 if dtype == "uint16" else dtype
    with np.errstate(invalid="ignore"):  # signalling NaNs among the random bits
        meant = source.view(stored_as).astype(np.float64)
        same(wide.astype(np.float64), meant)
        same(target.view(stored_as).astype(np.float64), meant)


def check_vectors_in_shared_memory(dtype):
    lanes = 16 // np.dtype(dtype).itemsize
    source = np.arange(THREADS * lanes).astype(dtype)
    target = np.zeros_like(source)
    launched(reversed_vectors, 1, THREADS, source, target, source.size)
    expected = source.reshape(THREADS, lanes)[::-1].ravel()
    np.testing.assert_array_equal(target, expected)


def check_quotients():
    a = np.array([0, 1, 5, 6, 2**31, 2**33 + 1, 2**40, 7], np.int64)
    b = np.array([1, 2, 5, 7, 3, 2**32 + 5, 1000, 7], np.int64)
    results = np.zeros_like(a)
    launched(quotients, 1, THREADS, a, b, results)
    np.testing.assert_array_equal(results, a // b)


def check_block_sum():
    values = np.random.default_rng(0).integers(-50, 50, THREADS).astype(np.float32)
    sums = np.zeros(2, np.float32)
    launched(summed_twice, 1, THREADS, values, sums)
    np.testing.assert_array_equal(sums, [values.sum(), (values**2).sum()])


def check_compensated_sum():
    values = np.array([2**24, *[1.0] * 100, -(2**24)], np.float32)
    sums = np.zeros(2, np.float32)
    launched(running_sum, 1, 1, values, sums)
    assert sums[1] == 100
    return sums[0]


def named(check):
    return "-".join([check[0].__name__.removeprefix("check_"), *map(str, check[1:])])


SHARED_CHECKS = [(check_vectors, "float32", "float32", 600),
                 (check_vectors, "float64", "float64", 300),
                 (check_vectors, "float16", "float32", 1200),
                 (check_vectors, "uint16", "float32", 1200),
                 (check_vectors, "int16", "int16", 1200),
                 (check_vectors_in_shared_memory, "float32"),
                 (check_vectors_in_shared_memory, "float64"),
                 (check_vectors_in_shared_memory, "int16"),
                 (check_quotients,), (check_block_sum,), (check_compensated_sum,)]


@pytest.mark.parametrize("check", SHARED_CHECKS, ids=named)
def test_interpreted(check):
    with stand_in(InterpretedDevice()):
        check[0](*check[1:])


@pytest.mark.simulator
@pytest.mark.parametrize("check", SHARED_CHECKS, ids=named)
def test_on_a_device(on_device, check):
    on_device(*check)


def test_what_a_plain_sum_would_lose():
    with stand_in(InterpretedDevice()):  # (the simulator passes numbers on as Python's float64)
        assert check_compensated_sum() == 0


def test_every_kind_of_float_is_converted():
    with stand_in(InterpretedDevice()):
        check_single_conversions(200_000)


@pytest.mark.simulator
def test_conversions_on_a_device(on_device):
    on_device(check_single_conversions, 512)


@pytest.mark.parametrize(("rows", "length"), [
    (1, 1), (3, 2), (2, 255), (2, 256), (2, 257), (1, 16384), (2, 16385), (1, 100_000), (70000, 2)])
def test_sums_of_rows(rows, length):
    values = np.random.default_rng(0).standard_normal(rows * length).astype(np.float32)
    with stand_in(InterpretedDevice(checks=rows < 1000)) as device:
        sums = sums_of_rows(device, values, rows)
    expected = values.reshape(rows, length).sum(axis=1, dtype=np.float64)
    size = np.abs(values.reshape(rows, length)).sum(axis=1, dtype=np.float64)
    # At most two stages, each with 8 levels and the compensated sum's last rounding, half an eps.
    assert (np.abs(sums - expected) <= 9 * np.finfo(np.float32).eps * size).all()


# ---- planted mistakes -------------------------------------------------------------------------


def with_mistake(folder, function, pattern, replacement):
    """The function from a copy of its module, its source changed where `pattern` matches first."""
    source = inspect.getsource(function)
    changed, count = re.subn(pattern, replacement, source, count=1)
    assert count == 1
    file = folder / "with_a_mistake.py"
    module = inspect.getmodule(function)
    file.write_text(inspect.getsource(module).replace(source, changed))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return getattr(copy, function.__name__)


def run_squeeze_tiled(kernel):
    image = np.arange(2 * 4 * 8 * 6, dtype=np.float32)
    squeezed = np.zeros_like(image)
    with stand_in(InterpretedDevice()) as device:
        device.launch(Kernel(kernel), (1, 4), 64, image, squeezed, 4, 4, 6, 4)


def test_a_missing_barrier_is_a_race(tmp_path):
    tiled = squeeze_kernels.squeeze_tiled
    run_squeeze_tiled(tiled)
    planted = with_mistake(tmp_path, tiled, r"cuda\.syncthreads\(\)", "pass")
    with pytest.raises(ptx.FindingsError, match="race"):
        run_squeeze_tiled(planted)


def test_an_access_beyond_the_end_is_found(tmp_path):
    planted = with_mistake(tmp_path, squeeze_kernels.squeeze_coalesced, "i < size", "i <= size")
    image = np.arange(256, dtype=np.float32)
    with stand_in(InterpretedDevice()) as device, pytest.raises(ptx.FindingsError, match="bounds"):
        device.launch(Kernel(planted), 2, 256, image, np.zeros_like(image), 256, 8, 2, 2)


def test_a_misaligned_vector_is_found():
    numbers = np.zeros(68, np.float32)[1:65]
    with stand_in(InterpretedDevice()) as device, pytest.raises(ptx.FindingsError, match="align"):
        device.launch(Kernel(converted_by_vectors), 1, THREADS, numbers, np.zeros(64, np.float32),
                      np.zeros(64, np.float32), 64)


@pytest.mark.simulator
def test_a_misaligned_index_is_found_in_the_simulator(simulated):
    with pytest.raises(AssertionError, match="which is not aligned to 16 bytes"):
        simulated(check_misaligned_index)


def check_misaligned_index():
    numbers = np.zeros(64, np.float32)
    launched(reversed_vectors, 1, 1, numbers, numbers.copy(), 63)


@pytest.mark.parametrize("mistake", [
    (r"pixel \* width \+ j\)", "pixel * width + mapped - 1 - j)"),
    (r"total \+ lost, scratch", "lost, scratch"),
    (r"store\(x_tile, at, value\)", "store(x_tile, at, value + log_det)"),
], ids=["raw scales backwards", "log-det forgotten", "log-det added"])
def test_a_wrong_coupling_is_rejected(monkeypatch, tmp_path, mistake):
    make = with_mistake(tmp_path, coupling_kernels.coupling_tiled, *mistake)
    key = "sigmoid_coupling_forward", "tiled"
    wrong = make(coupling_elements.sigmoid_forward)
    monkeypatch.setitem(coupling_variants._KERNELS, key, Kernel(wrong))
    with stand_in(InterpretedDevice()), pytest.raises(AssertionError, match="off by"):
        check_variant("coupling_variants", *key, "small", "float32")
