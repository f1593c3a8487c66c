"""Running a kernel that must show one defect, or none."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refglow.kernels.ptx import Finding, FindingsError, compile_kernel, examine, run


def one_finding(kernel: Callable[..., None], signature: Any, grid: Any, block: Any, arguments: Any,
                **options: Any) -> Finding:
    program = compile_kernel(kernel, signature)
    report = examine(program, grid, block, arguments, **options)
    with pytest.raises(FindingsError, match=kernel.__name__) as caught:
        run(program, grid, block, arguments, **options)
    assert {f.kind for f in caught.value.findings} == {f.kind for f in report.findings}
    assert len(report.findings) == 1, "\n".join(map(str, report.findings))
    finding = report.findings[0]
    assert finding.kernel == kernel.__name__
    assert finding.source is not None and "test_ptx_" in finding.source
    return finding


def clean(kernel: Callable[..., None], signature: Any, grid: Any, block: Any, arguments: Any,
          **options: Any) -> None:
    run(compile_kernel(kernel, signature), grid, block, arguments, **options)


def floats(size: int) -> np.ndarray:
    return np.arange(size, dtype=np.float32)
