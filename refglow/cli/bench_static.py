"""`refglow bench static`: what can be said of the CUDA kernels without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from refglow.cli.json_report import is_standard_output, write_json
from refglow.cli.messages import say

if TYPE_CHECKING:
    from rich.table import Table

    from refglow.kernels.bench.devices import Gpu
    from refglow.kernels.bench.roofline_points import Point
    from refglow.kernels.bench.static_report import StaticReport, VariantReport

_COMPILED = (("arch.", ("architecture",)), ("regis-\nters", ("registers",)),
             ("shared\nbytes", ("shared_bytes",)),
             ("spill/\nlocal", ("spill_bytes", "local_bytes")),
             ("float64\ninstr.", ("float64_instructions",)),
             ("16 bytes\nld/st", ("vector_loads", "vector_stores")),
             ("occu-\npancy", ("occupancy",)), ("bytes/\nelement", ("bytes_per_element",)),
             ("ops/\nelement", ("operations_per_element",)))
_INTERPRETED = (("instructions\n/element", ("instructions_per_element",)),
                ("load sectors\n/request", ("load_sectors_per_request",)),
                ("least", ("load_sectors_least",)),
                ("store sectors\n/request", ("store_sectors_per_request",)),
                ("least", ("store_sectors_least",)), ("bytes moved\n/least", ("traffic_ratio",)),
                ("bank\nconflicts", ("bank_conflicts",)), ("diver-\ngence", ("divergence",)))
Columns: TypeAlias = Sequence[tuple[str, tuple[str, ...]]]
Rows: TypeAlias = Sequence[dict[str, Any]]


def static(
    op: Annotated[list[str] | None, typer.Option(
        help="Only this op, e.g. expand_inverse; may be given more than once.",
        show_default="all")] = None,
    dtype: Annotated[list[str] | None, typer.Option(
        help="Only this number type; may be given more than once.", show_default="all")] = None,
    arch: Annotated[list[str] | None, typer.Option(
        help="Compile for this architecture, e.g. sm_90; may be given more than once. The plot is "
        "for a GPU of the last.", show_default="sm_75 to sm_120")] = None,
    interpret: Annotated[bool, typer.Option(
        help="Run the compiled PTX in the interpreter and count; the slow part.")] = True,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
    out: Annotated[Path | None, typer.Option(
        help="A folder for static.json and the predicted roofline, static.png and static.svg.")
    ] = None,
) -> None:
    """Compile every variant of the CUDA kernels, and interpret it; no GPU is needed.

    Registers, shared memory, spills and occupancy are the assembler's; counts are the
    interpreter's; times are predicted from data sheets: no kernel can take less.

    The exit code is 0 if all is well, and 2 if it could not run.
    """
    from refglow.cli.bench_report import BenchFiles, printer
    from refglow.kernels.bench.environment import environment, summary_line
    from refglow.kernels.bench.static_report import static_report
    from refglow.kernels.cuda.compile import ARCHITECTURES

    files = BenchFiles("static", json, out)
    with _progress() as progress:
        found = static_report(arch or ARCHITECTURES, op, interpret, progress, dtype)
    report = {"command": "bench static", "evidence": ["compiled", "interpreted", "predicted"],
              "environment": environment(), **found.as_dict()}
    to_stderr = is_standard_output(json)
    say(summary_line(report["environment"]), to_stderr=to_stderr)
    out_console = printer(to_stderr)
    for table in _tables(found.rows, interpret):
        out_console.print(table)
    write_json(json, report)
    _write(files, report, found)


def _write(files: Any, report: dict[str, Any], found: StaticReport) -> None:
    """The files: JSON, and the plot for one GPU and number type."""
    from refglow.kernels.bench.devices import gpus_of
    from refglow.kernels.bench.roofline_points import Ceiling

    gpu, dtype = gpus_of(found.architectures[-1])[0], found.variants[0].dtype
    rate = gpu.float64_rate if dtype == "float64" else gpu.float32_rate
    points = [predicted_point(variant, gpu) for variant in found.variants
              if variant.dtype == dtype]
    files.write_pictures(
        points, Ceiling(gpu.bandwidth, "memory, data sheet", rate, "arithmetic, data sheet"),
        f"Predicted, nothing measured: {gpu.name}, {dtype}; bytes moved as interpreted, without a "
        "cache")
    files.write_json(report)


def predicted_point(variant: VariantReport, gpu: Gpu) -> Point:
    """Where a variant would lie if nothing but memory and arithmetic took time.

    Args:
      variant: with its example's counts. The bytes of all memory sectors that it touches are taken
        for those that move, as if there were no cache; if it was not interpreted, the least.
      gpu: whose data sheet is believed.
    """
    from refglow.kernels.bench.devices import roofline_seconds
    from refglow.kernels.bench.roofline_points import Point

    counts = [launch.interpreted for launch in variant.launches]
    moved = sum(count.bytes_in_sectors for count in counts if count is not None)
    moved = max(moved, variant.bytes_moved)
    seconds = roofline_seconds(gpu, moved, variant.operations, variant.dtype)
    return Point(variant.op, variant.variant, variant.operations / variant.bytes_moved,
                 variant.operations / seconds, variant.bytes_moved / seconds)


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar in a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn

    from refglow.validation.table import stderr_console
    console = stderr_console()
    with Progress(BarColumn(), TextColumn("{task.completed}/{task.total}"),
                  TextColumn("{task.description}"), console=console, transient=True,
                  disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total,
                                                   description=what)


def _tables(rows: Rows, interpreted: bool) -> Iterator[Table]:
    """For each op and number type: what was compiled and predicted; then what was counted."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["op"], row["dtype"]), []).append(row)
    for (op, dtype), group in groups.items():
        yield _compiled_table(f"{op}, {dtype}: compiled; times predicted from data sheets, nothing "
                              "can take less", group)
        if interpreted:
            yield _interpreted_table(f"{op}, {dtype}: PTX interpreted", group)


def _compiled_table(title: str, rows: Rows) -> Table:
    from refglow.kernels.bench.report import duration

    table = _table(title, _COMPILED)
    table.add_column("predicted\nat least", justify="right", no_wrap=True)
    table.add_column("on", no_wrap=True)
    for row in rows:
        table.add_row(_kernel(row), *_cells(row, _COMPILED), duration(row["predicted_seconds"]),
                      row["predicted_gpu"])
    return table


def _interpreted_table(title: str, rows: Rows) -> Table:
    """The counts are the same for all architectures: the rows of the first."""
    table = _table(title, _INTERPRETED)
    for row in rows:
        if row["architecture"] == rows[0]["architecture"]:
            table.add_row(_kernel(row), *_cells(row, _INTERPRETED))
    return table


def _table(title: str, columns: Columns) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("variant", no_wrap=True)
    for heading, _ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _kernel(row: dict[str, Any]) -> str:
    """The variant; for a further kernel that it launches, that one's name as well."""
    variant, kernel = row["variant"], row["kernel"]
    return f"{variant}" if kernel.endswith(variant) else f"{variant}: {kernel}"


def _cells(row: dict[str, Any], columns: Columns) -> list[str]:
    return ["/".join(_number(row[key]) for key in keys) for _, keys in columns]


def _number(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
