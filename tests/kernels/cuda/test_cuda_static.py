"""Every kernel in the registry keeps the promises of its record, compiled for sm_80 and sm_90."""

import pytest
from static_promises import broken_promises

from refglow.kernels.cuda.compile import ARCHITECTURES, compile_kernel
from refglow.kernels.cuda.registry import compilations, launches, variants
from refglow.kernels.cuda.signature import signature_of

EVERY = compilations()


def named(compilation):
    return f"{compilation.kernel.name}-{compilation.dtype}"


def check(compilation, name):
    compiled = compile_kernel(compilation.kernel, compilation.signature, name)
    broken = broken_promises(compilation.kernel, compilation.dtype, compilation.launch, compiled)
    assert not broken, f"{compilation.kernel.name}, {compilation.dtype}, {name}: {broken}"


# All number types on sm_80, whose PTX the interpreter's tests have compiled already; on sm_90 the
# one that most kernels are run in.
@pytest.mark.parametrize("compilation", EVERY, ids=named)
def test_kernels_keep_their_promises_on_sm_80(compilation):
    check(compilation, "sm_80")


@pytest.mark.parametrize("compilation", [c for c in EVERY if c.dtype == "float32"], ids=named)
def test_float32_kernels_keep_their_promises_on_sm_90(compilation):
    check(compilation, "sm_90")


ACROSS = ("squeeze_tiled", "sigmoid_coupling_forward_vectorized", "product_tiled", "product_fused")


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("kernel", ACROSS)
def test_a_few_kernels_compile_cleanly_for_all_architectures(kernel, name):
    [found] = [c for c in EVERY if c.kernel.name == kernel and c.dtype == "float32"]
    compiled = compile_kernel(found.kernel, found.signature, name)
    assert not compiled.spill_stores and not compiled.local_bytes
    assert not compiled.float64_instructions and compiled.vector_loads and compiled.vector_stores


def test_small_and_realistic_examples_launch_the_same_kernels():
    for variant in variants():
        for dtype in variant.dtypes:
            small, realistic = (launches(variant, size, dtype) for size in ("small", "realistic"))
            assert small and realistic, (variant.op, variant.name)
            assert small[0].kernel.name == realistic[0].kernel.name, (variant.op, variant.name)
            assert (signature_of(small[0].arguments) == signature_of(realistic[0].arguments)
                    ), (variant.op, variant.name, dtype)


def test_records_say_what_they_are():
    seen = set()
    for variant in variants():
        assert variant.idea and (variant.op, variant.name) not in seen
        seen.add((variant.op, variant.name))
        arguments = variant.example("realistic", variant.dtypes[0])
        assert variant.elements(*arguments) > 0 and variant.operations(*arguments) >= 0
        assert variant.bytes_moved(*arguments) >= variant.elements(*arguments)
