"""`refglow validate`: refglow against TFP, from golden files or live; yours against refglow."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.choices import require_choice
from refglow.cli.progress import tracked
from refglow.cli.report_files import ReportFiles
from refglow.cli.validate_implementation import DTYPE, Choices, require_dtype

if TYPE_CHECKING:
    from refglow.validation.report import Report
    from refglow.validation.row import Row


def validate(
    implementation: Annotated[str | None, typer.Option(
        metavar="FILE.py:NAME", help="Judge a Glow of yours in Python, or module:NAME: a function "
        "of (architecture, parameters) that makes it, or an object, which offers some of forward, "
        "inverse, log-dets, gradients, layers. It runs in a process of its own.")] = None,
    export: Annotated[Path | None, typer.Option(
        help="Write a whole model, its inputs and what they mean to this folder, for a Glow of "
        "yours in any language; --results then judges it as --implementation does.")] = None,
    results: Annotated[Path | None, typer.Option(
        help="Judge what your program, in any language, computed for the model of this folder (see "
        "--export), or for its golden vectors (see `refglow vectors export`).")] = None,
    model: Annotated[Path | None, typer.Option(
        help="With --implementation or --export: the model's safetensors file.",
        show_default="random weights, 3 blocks of 8 steps")] = None,
    images: Annotated[int | None, typer.Option(
        min=1, help="With --implementation or --export: how many random images.",
        show_default="4")] = None,
    seed: Annotated[int | None, typer.Option(
        min=0, help="With --live, --implementation or --export: the seed they are drawn from.",
        show_default="0")] = None,
    dtype: Annotated[str | None, typer.Option(
        help="With --implementation: float64, float32 or both.", show_default="both")] = None,
    time_limit: Annotated[float | None, typer.Option(
        min=0.01, help="With --implementation: seconds that a call may take.",
        show_default="60")] = None,
    live: Annotated[str | None, typer.Option(
        help="tfp: hold refglow against the installed TFP instead of the golden files.")] = None,
    configs: Annotated[int | None, typer.Option(
        min=1, help="With --live: how many random architectures.", show_default="10")] = None,
    only: Annotated[str | None, typer.Option(
        help="Only the bijectors whose name begins so, e.g. --only RealNVP; with --results, only "
        "such golden vectors, e.g. --only realnvp.")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the report as JSON to this file ('-': standard output).")] = None,
    html: Annotated[Path | None, typer.Option(
        help="Write the report as one HTML page to this file.")] = None,
    junit: Annotated[Path | None, typer.Option(
        help="Write the report as JUnit XML, for CI, to this file.")] = None,
) -> None:
    """Hold refglow against TensorFlow Probability, or your implementation against the truth.

    A Glow of yours in Python: --implementation FILE.py:NAME; what it may offer is told in
    `refglow.validation.implementations`. In any other language: --export DIR
    writes a model and inputs, your program its results beside them, and --results DIR judges these;
    or your results for golden vectors, of which `refglow vectors export` makes a folder.

    refglow itself: without options against golden files, TFP's results for every bijector and for
    whole Glows on real photographs, in float32 and float64; with --live tfp against the installed
    TFP on random architectures, as a whole and layer by layer.

    --html, --junit and --json write the full report, whatever was compared.

    The exit code is 0 if everything agrees, 1 if something does not, 2 if it could not run.
    """
    chosen: dict[str, Any] = {key: value for key, value in {
        "model": model, "images": images, "time_limit": time_limit, "dtype": dtype}.items()
        if value is not None}
    files = ReportFiles(json, html, junit)
    if export is not None:
        _require_alone({"live": live, "results": results, "only": only, "json": json, "html": html,
                        "junit": junit, "implementation": implementation, "configs": configs,
                        "dtype": dtype, "time_limit": time_limit})
        from refglow.cli.validate_folder import export_model
        export_model(export, model, images, seed or 0)
        return
    _require_fitting(live, {"configs": configs, "seed": seed, "results": results, "only": only},
                     implementation, chosen)
    files.require_writable()
    if implementation is not None:
        from refglow.cli.validate_implementation import validate_implementation
        report = validate_implementation(Choices(implementation, seed=seed or 0, **chosen),
                                         files.to_stderr)
    elif results is not None:
        from refglow.cli.validate_results import judge_results
        report = judge_results(results, only, files.to_stderr)
    else:
        report = _run_live(10 if configs is None else configs, seed or 0, only) if live else (
            _run_golden(only))
        _print_report(report, files.to_stderr)
    files.write(report)
    raise typer.Exit(0 if report.passed else 1)


def _require_alone(others: dict[str, Any]) -> None:
    """Raise BadParameter if the folder is written and other options are given than go with it."""
    for name, value in others.items():
        if value is not None:
            raise typer.BadParameter("goes with --model, --images and --seed only; not with "
                                     f"--{name.replace('_', '-')}.", param_hint="--export")


def _require_fitting(live: str | None, others: dict[str, Any], implementation: str | None,
                     chosen: dict[str, Any]) -> None:
    """Raise BadParameter unless the options go together.

    Args:
      live, implementation: those options.
      others: configs, seed, results and only.
      chosen: what was given of the options that go with --implementation.
    """
    if live is not None:
        require_choice("--live", live, ("tfp",))
    seeded = others["seed"] is not None and implementation is None
    if live is None and (others["configs"] is not None or seeded):
        raise typer.BadParameter("go with --live tfp.", param_hint="--configs and --seed")
    if others["results"] is not None and live is not None:
        raise typer.BadParameter("goes without --live.", param_hint="--results")
    if implementation is not None and not (
            live is None and others["results"] is None and others["only"] is None):
        raise typer.BadParameter("goes without --live, --results and --only.",
                                 param_hint="--implementation")
    if implementation is None and chosen:
        raise typer.BadParameter("goes with --implementation" + (
            " or --export." if {"model", "images"} & chosen.keys() else "."),
                                 param_hint=f"--{next(iter(chosen)).replace('_', '-')}")
    require_dtype(chosen.get("dtype", DTYPE))


def _run_golden(only: str | None) -> Report:
    from refglow.validation.against_golden import golden_cases, golden_rows
    from refglow.validation.golden import Golden
    from refglow.validation.report.making import report_of_golden
    from refglow.validation.row import worst_of

    started = time.perf_counter()
    cases = golden_cases(only)
    bijectors: list[Row] = []
    photographs: list[Row] = []
    for case, rows in tracked(golden_rows(cases), len(cases), "golden files"):
        if case.photographs:
            photographs += rows
        elif only is None:  # one line for each class: its worst case
            bijectors += [replace(row, bijector=case.bijector_name) for row in rows]
        else:
            bijectors += rows
    made_with = Golden("float64").metadata
    return report_of_golden(
        {"Every bijector": worst_of(bijectors), "Whole Glows on photographs": photographs},
        f"TFP {made_with['tensorflow_probability']} (golden files)",
        time.perf_counter() - started)


def _run_live(configs: int, seed: int, only: str | None) -> Report:
    from refglow.validation.live import by_property, live_configurations, sections_of
    from refglow.validation.report.making import report_of_live
    from refglow.validation.tfp.framework import tfp_version

    started = time.perf_counter()
    version = tfp_version()  # says what to install if it is not there
    whole: list[Row] = []
    layers: list[Row] = []
    ratios: list[dict[str, float]] = []
    for found in tracked(live_configurations(configs, seed), configs, "random Glows, TFP live"):
        whole += found.whole
        layers += found.layers
        ratios.append(found.error_ratio)
    sections = sections_of(_chosen(whole, only), _chosen(layers, only))
    rows = [row for section in sections.values() for row in section]
    if not rows:
        kinds = sorted({row.bijector for row in whole + layers})
        raise ValueError(f"Nothing is called {only!r}; there are: {', '.join(kinds)}.")
    return report_of_live(sections, by_property(ratios) if only is None else {},
                          f"TFP {version} (live)", time.perf_counter() - started,
                          {"configs": configs, "seed": seed})


def _chosen(rows: list[Row], only: str | None) -> list[Row]:
    return [row for row in rows if only is None or row.bijector.lower().startswith(only.lower())]


def _print_report(report: Report, to_stderr: bool) -> None:
    from refglow.validation.table import comparison_table, console, ratio_table, stderr_console

    out = stderr_console() if to_stderr else console()
    rows = [row for section in report.sections.values() for row in section]
    for title, section in report.sections.items():
        if section:
            out.print(comparison_table(title, section, out.width))
    if report.float32_error_ratio:
        out.print(ratio_table({prop: list(ratios)
                               for prop, ratios in report.float32_error_ratio.items()}))
    failed = sum(not row.passed for row in rows)
    comparisons = sum(row.count for row in rows)
    out.print("rel. error = max|refglow - TFP| / max|TFP|; ulps in the same norm. tolerance = "
              "4 eps x sqrt(layers) x kappa, kappa the measured condition of the map (in float64 "
              "at most 1e-12 kappa): see refglow.validation.tolerances.", style="dim")
    verdict = ("[bold green]All agree[/]" if report.passed
               else f"[bold red]{failed} rows differ[/]" if failed
               else "[bold red]Less accurate than TFP[/]")
    out.print(f"{verdict}: {comparisons} comparisons with {report.against} in "
              f"{report.seconds:.1f} s.")
