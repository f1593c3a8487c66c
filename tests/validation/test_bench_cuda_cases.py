"""The cases of the CUDA bench, run by the interpreter of PTX on NumPy arrays: nothing is timed."""

from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

from refglow.kernels.bench.run import measured
from refglow.kernels.bench.timing import HostClock, Settings
from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.registry import variants
from refglow.kernels.cuda.stand_ins import InterpretedDevice
from refglow.validation.bench.bfloat16 import as_bits, as_numbers
from refglow.validation.bench.cpu import cases
from refglow.validation.bench.cuda import DTYPES, LARGE, cuda_cases
from refglow.validation.bench.cuda_baselines import _TORCH, baselines, computing_dtype
from refglow.validation.bench.size import Size

SMALL = Size(2, 6, 8, 32, hidden=8)
ONCE = Settings(repeats=1, rotated_bytes=0, timing_seconds=0.0, warm_up_seconds=0.0,
                pause_seconds=0.0)
FUNCTIONS = {"float32": ["expand_inverse", "sigmoid_coupling_forward"],
             "float64": ["sigmoid_coupling_forward"], "float16": ["normalized_squeeze"],
             "bfloat16": ["expand_inverse", "sigmoid_coupling_forward",
                          "sigmoid_coupling_forward_vjp", "normalized_squeeze"]}


def interpreted(chosen):
    with stand_in(InterpretedDevice(checks=False)):
        return [one for case in chosen for one in measured(case, ONCE, HostClock())]


@pytest.mark.parametrize("dtype", DTYPES)
def test_variants_and_baselines_are_held_against_the_specification(dtype):
    chosen = [case for case in cuda_cases(variants(), np, dtype, SMALL)
              if case.function in FUNCTIONS[dtype]]
    assert [case.function for case in chosen] == FUNCTIONS[dtype]
    found = interpreted(chosen)
    assert {one.refused for one in found} == {""}
    if dtype != "float16":
        assert {"cupy", "naive", "coalesced", "vectorized", "tiled"} <= {
            one.variant for one in found}


@pytest.mark.parametrize(("dtype", "change"), [("float32", 1e-2), ("bfloat16", 0x100)])
def test_a_wrong_kernel_is_refused(dtype, change):
    def wrong(variant):
        def run(*arguments):
            y, log_det = variant.run(*arguments)
            y.reshape(-1)[-1] += y.dtype.type(change)  # of a bfloat16's bits: times 4
            return y, log_det
        return replace(variant, run=run)
    planted = [wrong(variant) if variant.name == "naive" else variant for variant in variants()
               if variant.op == "sigmoid_coupling_forward"]
    found = interpreted(cuda_cases(planted, np, dtype, SMALL))
    assert {one.variant: bool(one.refused) for one in found if one.refused} == {"naive": True}


def test_every_variant_has_a_specification():
    for dtype in DTYPES:
        listed = {(case.function, name) for case in cuda_cases(variants(), np, dtype, SMALL)
                  for name in case.variants}
        assert {(variant.op, variant.name) for variant in variants()
                if dtype in variant.dtypes} <= listed
    stray = replace(variants()[0], op="warp_drive")
    with pytest.raises(LookupError, match="no specification for warp_drive"):
        cuda_cases([stray], np, "float32", SMALL)


def test_bits_of_bfloat16():
    numbers = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    numbers[:3] = 1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8  # ties
    expected = numbers.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(as_bits(numbers), expected.view(np.uint16))
    np.testing.assert_array_equal(as_numbers(as_bits(numbers)), expected.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_torch_s_baselines_return_the_kernels_number_types(dtype):
    torch = pytest.importorskip("torch")
    x, output = (torch.ones(shape, dtype=getattr(torch, dtype)) for shape in (
        (2, 6, 4), (2, 6, 4)))
    for results in (_TORCH["sigmoid_coupling_forward"](x, output, 2),
                    _TORCH["expand_inverse"](x.reshape(2, 2, 6, 2), 2)):
        value, log_det = (str(result.dtype) for result in results)
        assert (value, log_det) == (f"torch.{dtype}", f"torch.{computing_dtype(dtype)}")


def test_kernels_and_specification_count_the_same_bytes():
    """Within a few percent: small parameters, and arrays of which a part is needed."""
    for case in cuda_cases(variants(), np, "float32", SMALL):
        inputs = case.make_inputs(np.random.default_rng(0))
        counted = {variant.name: variant.bytes_moved(*inputs) for variant in variants()
                   if variant.op == case.function}
        passes = 2 if case.function == "channel_statistics" else 1  # the kernel's; one is needed
        for name, moved in counted.items():
            assert moved == pytest.approx(passes * case.bytes_moved, rel=0.25), (
                case.function, name)


@pytest.mark.parametrize("op", ["squeeze", "unsqueeze", "coupling", "one_by_one_conv"])
def test_baselines_are_right(op):
    found = {}
    for case in cases([op], "float64", [SMALL]):
        inputs = case.make_inputs(np.random.default_rng(0))
        for name, baseline in baselines(case.function, np).items():
            results = baseline(*inputs)
            found[case.function, name] = max(
                case.error(np.asarray(a), np.asarray(b))
                for a, b in zip(results, case.specification(*inputs), strict=True))
    assert found and max(found.values()) < 1e-13
    assert not baselines("adam_update", np)


def test_the_standard_size_is_larger_than_a_gpu_s_cache():
    assert 4 * LARGE.elements >= 50 * 2**20 * 0.95
