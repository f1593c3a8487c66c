"""`refglow bench cuda`: every variant of the CUDA kernels on the GPU that is here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.json_report import is_standard_output, write_json

if TYPE_CHECKING:
    from refglow.kernels.bench.machine import Ceilings
    from refglow.kernels.bench.records import Measurement
    from refglow.validation.bench.size import Size


def cuda(
    op: Annotated[list[str] | None, typer.Option(
        help="Only this op: squeeze, unsqueeze, coupling, actnorm, one_by_one_conv, "
        "normalized_conv, conv2d, coupling_network; may be given more than once.",
        show_default="all")] = None,
    dtype: Annotated[str, typer.Option(help="float32, float64, float16 or bfloat16.")] = "float32",
    size: Annotated[str, typer.Option(
        help="BxHxWxC, the images that a step of the flow takes.")] = "256x64x64x12",
    hidden: Annotated[int, typer.Option(min=1, help="Hidden channels of the networks.")] = 400,
    repeats: Annotated[int, typer.Option(
        min=1, max=1_000_000, help="Timings of each variant.")] = 50,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
    out: Annotated[Path | None, typer.Option(
        help="A folder for the results: JSON, PNG and SVG, named by the GPU and the date.")] = None,
) -> None:
    """Verify every variant of the CUDA kernels against the specification, then time it on the GPU.

    Timed by CUDA events, with CuPy's expressions, a fused kernel of CuPy's, cuBLAS and, if it is
    installed, PyTorch beside them. Shares are of the copy bandwidth and of cuBLAS' rate, measured
    in the same run.

    The exit code is 0 if all is well, 1 if a variant is wrong, and 2 if it could not run; without
    a GPU it says what is missing, and writes nothing.
    """
    from refglow.kernels.cuda.availability import cuda_unavailable_reason
    from refglow.validation.bench.cuda import DTYPES
    from refglow.validation.bench.size import parsed

    if dtype not in DTYPES:
        raise typer.BadParameter(f"can be {', '.join(DTYPES)}; got {dtype!r}.",
                                 param_hint="--dtype")
    images = parsed(size, hidden)
    reason = cuda_unavailable_reason()
    if reason is not None:
        raise ValueError(reason)
    raise typer.Exit(_run(op, dtype, images, repeats, json, out))


def _run(op: list[str] | None, dtype: str, size: Size, repeats: int, json: Path | None,
         out: Path | None) -> int:
    """Measure, print and write; the exit code."""
    import cupy

    from refglow.cli.bench_report import BenchFiles, all_are_right, print_report, results
    from refglow.kernels.bench.cuda_clock import gpu_environment
    from refglow.kernels.bench.environment import environment, summary_line
    from refglow.kernels.cuda.memory import device_memory_errors

    gpu = gpu_environment(cupy)
    slug = re.sub(r"[^a-z0-9]+", "-", gpu["gpu"].lower()).strip("-")
    files = BenchFiles(f"cuda-{slug}-{gpu['date'][:10]}", json, out)
    with device_memory_errors():
        found, ceilings = _measured(cupy, op, dtype, size, repeats)
    report: dict[str, Any] = {
        "command": "bench cuda", "evidence": f"ran on {gpu['gpu']}", "gpu": gpu,
        "environment": environment("cupy-cuda13x", "torch"), "ceilings": ceilings.as_dict(),
        "results": results(found, ceilings)}
    to_stderr = is_standard_output(json)
    print_report(found, ceilings, f"Ran on {gpu['gpu']}, compute capability "
                 f"{gpu['compute_capability']}, driver {gpu['driver']}, CUDA {gpu['runtime']}, "
                 f"CuPy {gpu['cupy']}. {summary_line(report['environment'])}", to_stderr)
    passed = all_are_right(found, to_stderr)
    write_json(json, report)
    files.write(report, found, ceilings, f"{gpu['gpu']}, {dtype}, {gpu['date'][:10]}")
    return 0 if passed else 1


def _measured(cupy: Any, op: list[str] | None, dtype: str, size: Size,
              repeats: int) -> tuple[list[Measurement], Ceilings]:
    from refglow.cli.bench_report import measured_cases
    from refglow.kernels.bench.cuda_clock import CudaClock, gpu_ceilings, l2_cache_bytes
    from refglow.kernels.bench.timing import Settings
    from refglow.kernels.cuda.registry import variants
    from refglow.validation.bench.cuda import cuda_cases

    cases = cuda_cases(variants(), cupy, dtype, size)
    chosen = [case for case in cases if not op or case.op in op]
    if not chosen:
        raise ValueError(f"There is nothing to measure for {', '.join(op or [])} in {dtype}; there "
                         f"are: {', '.join(dict.fromkeys(case.op for case in cases))}.")
    clock = CudaClock(cupy)
    # cuBLAS multiplies no bits in uint16, which is what arrays of bfloat16 are here.
    multiplied = [] if dtype == "bfloat16" else [dtype]
    ceilings = gpu_ceilings(cupy, clock, multiplied, repeats)
    settings = Settings(repeats, rotated_bytes=2 * l2_cache_bytes(cupy), timing_seconds=0.001,
                        timings_of_turn=1, pause_seconds=0.0)
    return measured_cases(chosen, settings, clock), ceilings
