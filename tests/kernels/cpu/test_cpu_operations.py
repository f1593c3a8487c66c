"""What holds for every accelerated operation: it is the specification, for any memory layout."""

import inspect

import numba
import numpy as np
import pytest
from cpu_operations import LARGE, OPERATIONS, SMALL, results_of, with_arrays

from refglow.kernels.cpu import operands

NAMES = sorted(OPERATIONS)
DTYPES = (np.float32, np.float64)


def wide(argument):
    """Floating arrays in extended precision, for a result whose errors do not count here."""
    return argument.astype(np.longdouble) if getattr(argument, "dtype", None) is not None and (
        argument.dtype.kind == "f") else argument


def errors(results, exact):
    return [np.max(np.abs(result - reference), initial=0)
            for result, reference in zip(results, exact, strict=True)]


def assert_as_accurate(results, specified, exact, dtype, sums_data=False):
    """Of the specification's shapes and dtypes, and nearly as close to the exact results as it is.

    The kernels add and round in another order, so their errors differ from the specification's; a
    handful of roundings of the largest number is what an order may cost. For a float64 result that
    sums numbers computed in the data's type, these are roundings of that type.
    """
    for result, other in zip(results, specified, strict=True):
        assert np.shape(result) == np.shape(other)
        assert result.dtype == other.dtype
        assert np.isfinite(result).all()
    for error, of_specified, reference, result in zip(
            errors(results, exact), errors(specified, exact), exact, results, strict=True):
        eps = np.finfo(dtype if sums_data else result.dtype).eps
        assert error <= 3 * of_specified + 4 * eps * np.max(np.abs(reference), initial=0)


def check(operation, arguments, dtype):
    exact = results_of(operation.specification, tuple(wide(a) for a in arguments))
    specified = results_of(operation.specification, arguments)
    assert_as_accurate(results_of(operation.kernel, arguments), specified, exact, dtype,
                       operation.sums_data)


def same_bits(results, others):
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes()
               for a, b in zip(results, others, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_signature_is_the_specification_s(name):
    ours, theirs = (inspect.signature(f) for f in (OPERATIONS[name].kernel,
                                                   OPERATIONS[name].specification))
    assert ours.parameters == theirs.parameters
    assert ours.return_annotation == theirs.return_annotation


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_values_are_the_specification_s(name, dtype):
    operation = OPERATIONS[name]
    for size in operation.sizes:
        check(operation, operation.arguments(dtype, size), dtype)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_of_two_number_types_are_refused(name):
    operation = OPERATIONS[name]
    arguments = operation.arguments(np.float32, operation.sizes[SMALL])
    narrow = [i for i, a in enumerate(arguments) if getattr(a, "dtype", None) == np.float32
              and np.ndim(a)]
    for i in narrow[1:] if not name.startswith("expand") else ():
        mixed = list(arguments)
        mixed[i] = mixed[i].astype(np.float64)
        with pytest.raises(TypeError, match="all of one type; got float32, float64"):
            operation.kernel(*mixed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_threads_or_runs(name, dtype):
    operation = OPERATIONS[name]
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("Numba has one thread only (NUMBA_NUM_THREADS or the machine's cores)")
    arguments = operation.arguments(dtype, operation.sizes[LARGE])
    before = numba.get_num_threads()
    runs = []
    try:
        for threads in (1, 2, 2):
            numba.set_num_threads(threads)
            runs.append(results_of(operation.kernel, arguments))
    finally:
        numba.set_num_threads(before)
    assert same_bits(runs[0], runs[1]) and same_bits(runs[1], runs[2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_one_chunk_alone_gives_the_bits_of_the_parallel_kernel(name, dtype, monkeypatch):
    operation = OPERATIONS[name]
    arguments = operation.arguments(dtype, operation.sizes[SMALL])
    alone = results_of(operation.kernel, arguments)
    calls = []

    def in_parallel(one, all_of_them, chunks, *rest):
        calls.append(chunks)
        all_of_them(*rest, chunks)
    for module in ("expand", "coupling", "normalized_conv", "activation_normalization",
                   "optimizer"):
        monkeypatch.setattr(f"refglow.kernels.cpu.{module}.run_chunks", in_parallel)
    assert same_bits(alone, results_of(operation.kernel, arguments))
    assert set(calls) == {1}


def strided(array):
    """The same numbers, every second one of a larger array, in Fortran's order."""
    larger = np.zeros((*(2 * n for n in array.shape),), array.dtype, order="F")
    view = larger[tuple(slice(None, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def misaligned(array):
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    view = raw.view(array.dtype).reshape(array.shape)
    view[...] = array
    assert array.size == 0 or not view.flags.aligned
    return view


def big_endian(array):
    return array.astype(array.dtype.newbyteorder(">"))


def locked(array):
    view = array.view()
    view.flags.writeable = False
    return view


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_any_memory_layout(name, dtype):
    operation = OPERATIONS[name]
    arguments = operation.arguments(dtype, operation.sizes[SMALL])
    expected = results_of(operation.kernel, arguments)
    for change in (strided, misaligned, big_endian, locked):
        results = results_of(operation.kernel, with_arrays(arguments, change))
        assert same_bits(results, expected)
        assert all(result.dtype.isnative for result in results)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_fresh_and_arguments_unchanged(name):
    operation = OPERATIONS[name]
    arguments = operation.arguments(np.float32, operation.sizes[SMALL])
    copies = with_arrays(arguments, np.copy)
    results = results_of(operation.kernel, arguments)
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    for result in results:
        assert not any(np.shares_memory(result, array) for array in arrays)
        assert not np.ndim(result) or result.flags.writeable
    for a, b in zip(arguments, copies, strict=True):
        assert np.array_equal(a, b)


def empty_size(name, size):
    if name.startswith("expand"):
        return (0, *size[0][1:]), size[1]
    return (0, *size[1:]) if size else (0,)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in NAMES if n != "channel_statistics"])
def test_empty_batches(name, dtype):
    operation = OPERATIONS[name]
    arguments = operation.arguments(dtype, empty_size(name, operation.sizes[SMALL]))
    check(operation, arguments, dtype)


def test_statistics_of_an_empty_batch_are_nan_as_the_specification_s():
    operation = OPERATIONS["channel_statistics"]
    for function in (operation.kernel, operation.specification):
        with pytest.warns(RuntimeWarning):
            results = function(np.zeros((0, 3), np.float32), 1e-5)
        assert all(np.isnan(r).all() and r.shape == (3,) for r in results)


def with_one(arguments, array, value):
    """The arguments, with `value` in the middle of the array of that number; None if there is none.

    Numbers count the floating arrays of at least one dimension.
    """
    arrays = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.size and a.ndim
              and a.dtype.kind == "f"]
    if array >= len(arrays):
        return None
    changed = list(arguments)
    changed[arrays[array]] = arguments[arrays[array]].copy()
    changed[arrays[array]].flat[changed[arrays[array]].size // 2] = value
    return tuple(changed)


def assert_not_finite_alike(results, specified):
    for result, other in zip(results, specified, strict=True):
        assert np.array_equal(np.isnan(result), np.isnan(other))
        infinite = np.isinf(other)
        assert np.array_equal(np.isinf(result), infinite)
        assert np.array_equal(np.asarray(result)[infinite], np.asarray(other)[infinite])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_infinity_and_nan_come_out_where_the_specification_has_them(name, dtype):
    operation = OPERATIONS[name]
    arguments = operation.arguments(dtype, operation.sizes[SMALL])
    # ActNorm's infinite parameters meet sums in another order, a * sum for sum of a * b, so that
    # 0 * inf and inf - inf stand elsewhere; for parameters the next test asks for less.
    with_parameters = {"normalized_conv": (0, 4), "activation_normalization": (0, 3)}
    data = next((places for start, places in with_parameters.items() if name.startswith(start)),
                range(4))
    for array in data:
        for value in (np.inf, -np.inf, np.nan):
            special = with_one(arguments, array, value)
            if special is not None:
                with np.errstate(all="ignore"):
                    assert_not_finite_alike(results_of(operation.kernel, special),
                                            results_of(operation.specification, special))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith(("normalized_conv", "activ"))])
def test_nan_in_a_parameter_is_not_hidden(name, dtype):
    operation = OPERATIONS[name]
    arguments = operation.arguments(dtype, operation.sizes[SMALL])
    # (The inverse's derivatives do not depend on the shift that it subtracts last.)
    of_conv = (2, 3) if name.endswith("inverse_vjp") else (1, 2, 3)
    for array in of_conv if name.startswith("normalized_conv") else (2,):
        special = with_one(arguments, array, np.nan)
        assert any(np.isnan(r).any() for r in results_of(operation.kernel, special))
        assert any(np.isnan(r).any() for r in results_of(operation.specification, special))


def test_long_double_is_refused():
    with pytest.raises(TypeError, match="float32 or float64 arrays, all of one type; got"):
        operands.common_dtype(np.zeros(3, np.longdouble))


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith(("coupling_forward", "vjp"))
                                  and not n.startswith("expand")])
def test_arrays_that_do_not_fit_are_refused(name):
    operation = OPERATIONS[name]
    arguments = list(operation.arguments(np.float32, operation.sizes[SMALL]))
    last = max(i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.ndim)
    arguments[last] = arguments[last][:-1]
    with pytest.raises(ValueError, match=r"is of shape .* it must be"):
        operation.kernel(*arguments)


@pytest.mark.parametrize("name", NAMES)
def test_the_comparison_rejects_a_wrong_digit(name):
    operation = OPERATIONS[name]
    arguments = operation.arguments(np.float64, operation.sizes[SMALL])
    exact = results_of(operation.specification, tuple(wide(a) for a in arguments))
    specified = results_of(operation.specification, arguments)
    right = results_of(operation.kernel, arguments)
    wrong = (right[0].copy(), *right[1:])
    place = np.argmax(np.abs(wrong[0]))
    wrong[0].flat[place] *= 1 + 3e-14
    with pytest.raises(AssertionError):
        assert_as_accurate(wrong, specified, exact, np.float64)
