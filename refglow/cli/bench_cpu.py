"""`refglow bench cpu`: Glow's functions, NumPy specification and CPU kernels, one by one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.choices import require_choice
from refglow.cli.json_report import is_standard_output, write_json

if TYPE_CHECKING:
    from refglow.kernels.bench.machine import Ceilings
    from refglow.kernels.bench.records import Measurement


def cpu(
    op: Annotated[list[str] | None, typer.Option(
        help="Only this op; may be given more than once.", show_default="all")] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    size: Annotated[list[str] | None, typer.Option(
        help="BxHxWxC, the images that a step of the flow takes; may be given more than once.",
        show_default="64x64x64x12; 8x16x16x12 for networks")] = None,
    hidden: Annotated[int, typer.Option(min=1, help="Hidden channels of the networks.")] = 400,
    repeats: Annotated[int, typer.Option(
        min=1, max=1_000_000, help="Timings of each variant.")] = 30,
    check: Annotated[bool, typer.Option(
        "--check", help="Fail if a kernel misses its share of the copy bandwidth.")] = False,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
    out: Annotated[Path | None, typer.Option(
        help="A folder for cpu.json and the roofline plot, cpu.png and cpu.svg.")] = None,
) -> None:
    """Verify the CPU kernels against the specification, then time both.

    Shares are of the copy bandwidth and of the rate of matrix products, measured in the same run.

    The exit code is 0 if all is well, 1 if a kernel is wrong or, with --check, too slow, and 2 if
    it could not run.
    """
    from refglow.cli.bench_report import BenchFiles, all_are_right, print_report, results
    from refglow.kernels.bench.environment import environment, summary_line

    require_choice("--dtype", dtype, ("float32", "float64"))
    files = BenchFiles("cpu", json, out)
    found, ceilings = _measured(op, dtype, size or [], hidden, repeats)
    report: dict[str, Any] = {"command": "bench cpu", "environment": environment(),
                              "ceilings": ceilings.as_dict(), "results": results(found, ceilings)}
    to_stderr = is_standard_output(json)
    print_report(found, ceilings, summary_line(report["environment"]), to_stderr)
    passed = all_are_right(found, to_stderr)
    if check:
        passed = _reached(found, ceilings, report, to_stderr) and passed
    write_json(json, report)
    files.write(report, found, ceilings, f"{report['environment']['processor']}, {dtype}")
    raise typer.Exit(0 if passed else 1)


def _measured(op: list[str] | None, dtype: str, sizes: list[str], hidden: int,
              repeats: int) -> tuple[list[Measurement], Ceilings]:
    from refglow.cli.bench_report import measured_cases
    from refglow.kernels.bench.machine import last_level_cache_bytes, processor_ceilings
    from refglow.kernels.bench.timing import HostClock, Settings
    from refglow.validation.bench.cpu import OPS, cpu_cases
    from refglow.validation.bench.size import parsed

    cases = cpu_cases(op or OPS, dtype, [parsed(text, hidden) for text in sizes])
    ceilings = processor_ceilings([dtype], repeats)
    settings = Settings(repeats, rotated_bytes=2 * last_level_cache_bytes())
    return measured_cases(cases, settings, HostClock()), ceilings


def _reached(found: list[Measurement], ceilings: Ceilings, report: dict[str, Any],
             to_stderr: bool) -> bool:
    """Whether every target is met; prints each and adds them to the report."""
    from refglow.cli.bench_report import print_verdicts
    from refglow.validation.bench.targets import bandwidth_verdicts

    verdicts = bandwidth_verdicts(found, ceilings)
    report["targets"] = [verdict.as_dict() for verdict in verdicts]
    return print_verdicts(verdicts, to_stderr)
