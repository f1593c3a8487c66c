"""`refglow errata`: where TFP's code and its documentation part, and what refglow does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from rich.table import Table


def errata(
    live: Annotated[bool, typer.Option(
        "--live", help="Also run each demonstration on the installed TFP.")] = False,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """List the departures of TensorFlow Probability from its documentation.

    Each entry is demonstrated: refglow's side on every run, TFP's side with --live.

    The exit code is 0 if refglow behaves as each entry says and, with --live, TFP still departs as
    each entry says; 1 if not; 2 if it could not run.
    """
    from refglow.validation.table import console, stderr_console
    from refglow.validation.tfp.framework import tfp_version

    require_writable(json)
    version = tfp_version() if live else None  # says what to install if it is not there
    entries = _run(live)
    report = {"tensorflow_probability": version, "entries": entries,
              "passed": all(_passed(entry) for entry in entries)}
    out = stderr_console() if is_standard_output(json) else console()
    out.print(_table(entries, version))
    for entry in entries:
        for side in ("refglow", "tfp"):
            if entry[f"{side}_holds"] is False:
                out.print(f"[bold red]{entry['identifier']}[/], {side}: ", end="")
                out.print(entry[f"{side}_observed"], markup=False)
    out.print(_verdict(entries, version))
    write_json(json, report)
    raise typer.Exit(0 if report["passed"] else 1)


def _run(live: bool) -> list[dict[str, Any]]:
    from refglow.backend import use_backend
    from refglow.validation.errata import ERRATA

    entries = []
    for erratum in tracked(ERRATA, len(ERRATA), "errata"):
        with use_backend("spec"):
            ours = erratum.check()
        theirs = erratum.reproduce() if live else None
        entries.append({
            "identifier": erratum.identifier, "title": erratum.title, "where": erratum.where,
            "documented": erratum.documented, "tfp_does": erratum.tfp_does,
            "refglow_does": erratum.refglow_does, "refglow_follows": erratum.follows,
            "refglow_holds": ours.holds, "refglow_observed": ours.observed,
            "tfp_holds": theirs.holds if theirs else None,
            "tfp_observed": theirs.observed if theirs else None})
    return entries


def _passed(entry: dict[str, Any]) -> bool:
    return bool(entry["refglow_holds"]) and entry["tfp_holds"] is not False


def _table(entries: list[dict[str, Any]], version: str | None) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Where TFP's code and its documentation part", title_justify="left",
                  header_style="bold", show_lines=True)
    table.add_column("identifier", no_wrap=True)
    for column in ("title", "TFP does", "refglow does"):
        table.add_column(column, overflow="fold")
    table.add_column("refglow does so", no_wrap=True)
    if version is not None:
        table.add_column(f"reproduced today with TFP {version}")
    for entry in entries:
        cells = [escape(entry[key]) for key in ("identifier", "title", "tfp_does", "refglow_does")]
        cells.append(_answer(entry["refglow_holds"]))
        if version is not None:
            cells.append(_answer(entry["tfp_holds"]))
        table.add_row(*cells)
    return table


def _answer(holds: bool) -> str:
    return "[green]yes[/]" if holds else "[bold red]no[/]"


def _verdict(entries: list[dict[str, Any]], version: str | None) -> str:
    ours = sum(entry["refglow_holds"] for entry in entries)
    line = f"{len(entries)} errata; refglow does as stated in {ours}"
    if version is None:
        return line + ". (--live also runs TFP's side.)"
    theirs = sum(bool(entry["tfp_holds"]) for entry in entries)
    return line + f"; reproduced with TFP {version}: {theirs}."
