"""Every kernel in the registry keeps the promises of its record on every architecture."""

import pytest
from static_promises import broken_promises

from refglow.kernels.cuda.compile import ARCHITECTURES, compile_kernel
from refglow.kernels.cuda.registry import compilations, launches, variants
from refglow.kernels.cuda.signature import signature_of


def named(compilation):
    return f"{compilation.kernel.name}-{compilation.dtype}"


# A kernel's architectures come one after the other, while its first half of a compilation is kept.
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("compilation", compilations(), ids=named)
def test_kernels_keep_their_promises(architecture, compilation):
    compiled = compile_kernel(compilation.kernel, compilation.signature, architecture)
    broken = broken_promises(compilation.kernel, compilation.dtype, compilation.launch, compiled)
    assert not broken, f"{compilation.kernel.name}, {compilation.dtype}, {architecture}: {broken}"


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
