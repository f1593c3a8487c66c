"""Every feature kernel, compiled for two architectures, interpreted with all checks on."""

import cooperative_features
import numpy as np
import pytest
import single_thread_features
from features import FEATURES

from refglow.kernels.ptx import compile_kernel, run

# Importing these enters their kernels into the table.
assert single_thread_features and cooperative_features


@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=["sm80", "sm90"])
@pytest.mark.parametrize("name", FEATURES)
def test_feature_kernel_computes_what_it_should(name: str, capability: tuple[int, int]) -> None:
    feature = FEATURES[name]
    arguments = feature.arguments(np.random.default_rng(11))
    originals = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    expected = feature.expected(*originals)
    program = compile_kernel(feature.kernel, feature.signature, capability)
    run(program, feature.grid, feature.block, arguments, shared_bytes=feature.shared_bytes)
    for number, original in enumerate(originals):
        if number in expected:
            np.testing.assert_allclose(
                arguments[number], expected[number], rtol=0, atol=feature.tolerance, strict=False
            )
        elif isinstance(original, np.ndarray):
            np.testing.assert_array_equal(arguments[number], original)


def test_results_do_not_depend_on_the_size_of_waves() -> None:
    for name in ("tiled_matrix_product", "histogram_by_shared_atomics", "divergent_while_loop"):
        feature = FEATURES[name]
        program = compile_kernel(feature.kernel, feature.signature)
        reports, results = [], []
        for lanes in (1, 100, 1 << 20):
            arguments = feature.arguments(np.random.default_rng(11))
            report = run(program, feature.grid, feature.block, arguments, lanes_per_wave=lanes)
            reports.append(report)
            results.append(arguments)
        for other, arguments in zip(reports[1:], results[1:], strict=True):
            assert other.counts == reports[0].counts
            for mine, first in zip(arguments, results[0], strict=True):
                np.testing.assert_array_equal(mine, first)
