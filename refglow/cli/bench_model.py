"""`refglow bench model`: whole Glows beside other libraries', and the cost of a pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.json_report import is_standard_output, write_json
from refglow.cli.messages import say

if TYPE_CHECKING:
    from rich.table import Table

    from refglow.cli.bench_report import BenchFiles
    from refglow.validation.bench.configuration import Configuration
    from refglow.validation.bench.side_by_side import SideBySide

_MODEL = "Model"


def model(
    peers: Annotated[str, typer.Option(
        help="With whom: some of tfp, normflows, torch, with commas between; empty for none.")
    ] = "tfp,normflows,torch",
    task: Annotated[list[str] | None, typer.Option(
        help="Only this: log_prob, sample, step or cold_start; may be given more than once.",
        show_default="all")] = None,
    batch: Annotated[list[int] | None, typer.Option(
        min=1, help="Images at a time; may be given more than once. A step is measured with the "
        "first.", show_default="8, 32")] = None,
    repeats: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rounds.")] = 7,
    scaling: Annotated[bool, typer.Option(
        "--scaling", help="Instead: the cost of a pixel from 32x32 to 256x256, batch 1 to 128."
    )] = False,
    large: Annotated[bool, typer.Option(
        "--large", help="Instead: a training step for 256x256 images.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail if a target is missed.")] = False,
    shape: Annotated[str, typer.Option(
        help="HxWxC of the images.", rich_help_panel=_MODEL)] = "32x32x3",
    blocks: Annotated[int, typer.Option(
        min=1, help="Scales of the Glow.", rich_help_panel=_MODEL)] = 3,
    steps_per_block: Annotated[int, typer.Option(
        min=1, help="Steps of the flow in each.", rich_help_panel=_MODEL)] = 32,
    hidden: Annotated[int, typer.Option(
        min=1, help="Hidden channels of the coupling networks.", rich_help_panel=_MODEL)] = 400,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
    out: Annotated[Path | None, typer.Option(
        help="A folder for model.json and, but for --scaling and --large, a roofline plot, "
        "model.png and model.svg.")] = None,
) -> None:
    """Compare results, then time whole Glows side by side.

    Every contender works in a process of its own, in turn with the others, on the same random
    weights where it can have them. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are unset there.

    The exit code is 0 if all is well, 1 if results differ or, with --check, a target is missed, and
    2 if it could not run.
    """
    from refglow.cli.bench_report import BenchFiles, print_verdicts
    from refglow.validation.bench.model import NotEqualError
    from refglow.validation.bench.side_by_side import TASKS, large_step, scaled, side_by_side

    if scaling and large:
        raise typer.BadParameter("measures something else than --large; give one of them.",
                                 param_hint="--scaling")
    configuration = _configuration(shape, blocks, steps_per_block, hidden)
    pictures = not scaling and not large
    files = BenchFiles("model", json, out, pictures)
    to_stderr = is_standard_output(json)
    with _progress() as progress:
        try:
            if scaling:
                found = scaled(configuration, repeats, progress)
            elif large:
                found = large_step(progress)
            else:
                found = side_by_side(configuration, task or TASKS,
                                     [peer for peer in peers.split(",") if peer],
                                     batch or [8, 32], repeats, progress)
        except NotEqualError as error:
            say(f"refglow: {error}", to_stderr=True)
            raise typer.Exit(1) from None
        except RuntimeError as error:
            raise ValueError(str(error)) from error
    report = _report(found)
    _print(found, report["environment"], to_stderr)
    met = print_verdicts(found.verdicts, to_stderr)
    if out is not None and pictures:
        _draw(files, found, configuration, report, repeats)
    write_json(json, report)
    files.write_json(report)
    raise typer.Exit(1 if check and not met else 0)


def _configuration(shape: str, blocks: int, steps: int, hidden: int) -> Configuration:
    from refglow.validation.bench.configuration import Configuration
    sizes = shape.split("x")
    if len(sizes) != 3 or not all(size.isdigit() for size in sizes):
        raise typer.BadParameter(f"is HxWxC, e.g. 32x32x3; got {shape!r}.", param_hint="--shape")
    height, width, channels = map(int, sizes)
    return Configuration((height, width, channels), blocks, steps, hidden)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What happens next, in a line that changes; nothing where there is no terminal."""
    from refglow.validation.table import stderr_console
    console = stderr_console()
    with console.status("starting") as status:
        yield lambda what: status.update(what) if console.is_terminal else None


def _report(found: SideBySide) -> dict[str, Any]:
    from refglow.kernels.bench.environment import environment
    from refglow.validation.bench.worker import UNSET

    here = environment("tensorflow", "tensorflow-probability", "torch", "normflows")
    here["variables"] = {name: value for name, value in here["variables"].items()
                         if name not in UNSET}
    for one in [one for timed in found.tasks.values() for one in timed.values()][:1]:
        here["blas"] = one.process["blas"]  # of refglow's process, not of this one
    return {"command": "bench model", "environment": here, "unset": list(UNSET),
            **found.as_dict()}


def _draw(files: BenchFiles, found: SideBySide, configuration: Configuration,
          report: dict[str, Any], repeats: int) -> None:
    """Write the roofline plot; adds its ceilings to the report."""
    from refglow.kernels.bench.machine import best, copy_rates
    from refglow.validation.bench.model_roofline import model_ceiling, model_points

    ceiling = model_ceiling(found.tasks, best(copy_rates(repeats)).per_second)
    report["ceilings"] = {"copy_bytes_per_second": ceiling.bandwidth,
                          "gemm_operations_per_second": ceiling.rate}
    files.write_pictures(model_points(found.tasks, configuration), ceiling,
                         f"{report['environment']['processor']}, whole Glows, float32")


def _print(found: SideBySide, environment: dict[str, Any], to_stderr: bool) -> None:
    from refglow.cli.bench_report import printer
    from refglow.kernels.bench.environment import summary_line
    from refglow.validation.bench.worker import UNSET

    out = printer(to_stderr)
    say(f"{summary_line(environment)}. Unset in the processes that were timed: "
        f"{', '.join(UNSET)}.", to_stderr=to_stderr)
    for title, timed in found.tasks.items():
        out.print(_task_table(title, timed))
    if "cold_start" in found.extra:
        out.print(_cold_start_table(found.extra["cold_start"]))
    if "scaling" in found.extra:
        out.print(_scaling_table(found.extra["scaling"]))


def _task_table(title: str, found: dict[str, Any]) -> Table:
    from refglow.kernels.bench.report import duration
    from refglow.validation.bench.memory import MIB
    from refglow.validation.bench.model import ratios

    table = _table(title, "median", "fastest", "spread", "times the\nfirst row's", "GFLOP/s",
                   "of GEMM", "peak MiB", "after\nimports", "error")
    first, gemm = next(iter(found.values())), found.get("gemm")
    for one in found.values():
        rate = one.operations / one.summary.median
        share = (f"{rate * gemm.summary.median / gemm.operations:.0%}" if gemm and rate else "")
        table.add_row(one.label, duration(one.summary.median), duration(one.summary.minimum),
                      f"{one.summary.spread:.0%}", f"{ratios(one, first).median:.2f}",
                      f"{rate / 1e9:.3g}" if rate else "", share,
                      f"{one.process['peak_bytes'] / MIB:.0f}",
                      f"{one.process['import_bytes'] / MIB:.0f}", f"{one.error:.0e}")
    return table


def _cold_start_table(found: dict[str, Any]) -> Table:
    table = _table("cold start: a new process, to log_prob of 8 images", "seconds\n(median)",
                   "import", "build", "first\nlog_prob")
    for one in found.values():
        table.add_row(one["label"], f"{one['median_seconds']:.2f}",
                      *(f"{seconds:.2f}" for seconds in one["parts_seconds"].values()))
    return table


def _scaling_table(found: dict[str, Any]) -> Table:
    from refglow.kernels.bench.report import duration
    from refglow.validation.bench.memory import MIB

    table = _table("log_prob, refglow", "median", "ns per pixel", "spread", "added MiB")
    for series in ("sizes", "batches"):
        table.add_section()
        for row in found[series]:
            table.add_row(row["point"], duration(row["median_seconds"]),
                          f"{row['nanoseconds_per_pixel']:.0f}", f"{row['spread']:.0%}",
                          f"{row['added_bytes'] / MIB:.0f}")
    return table


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table
