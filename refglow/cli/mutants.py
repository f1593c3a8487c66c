"""`refglow mutants`: how many planted mistakes the diagnosis finds, and how many it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from collections.abc import Callable

    from refglow.validation.diagnosis.planted import Outcome


def mutants(
    only: Annotated[str, typer.Option(
        help="Only the mistakes whose name begins so, e.g. coupling.")] = "",
    pairs: Annotated[int, typer.Option(
        min=0, help="How many random pairs of mistakes to plant as well.")] = 0,
    right: Annotated[int, typer.Option(
        min=0, help="How many random architectures without a mistake to diagnose, each in float64 "
        "and float32.")] = 0,
    layers: Annotated[bool, typer.Option(
        help="Whether the diagnosis sees the layers' outputs.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of weights, images, pairs.")] = 0,
    markdown: Annotated[Path | None, typer.Option(
        help="Write the table of mistakes as Markdown to this file.")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Plant mistakes in an independent Glow and see which the diagnosis names.

    The exit code is 0 if every mistake is detected, at least 95 of 100 are named, at least 70 of
    100 pairs are, and no implementation without a mistake is accused; else 1.
    """
    from refglow.validation.diagnosis import planted

    chosen = planted.mistakes(only)
    for path in (json, markdown):
        require_writable(path)
    singles = list(tracked(planted.singles(chosen, seed, layers), len(chosen), "mistakes"))
    couples = list(tracked(planted.pairs(pairs, seed, layers), pairs, "pairs"))
    accused = [(dtype, diagnosis) for dtype, diagnosis in tracked(
        planted.without_mistakes(right, seed), 2 * right, "without mistakes")
        if not diagnosis.agrees]
    report = _report(singles, couples, accused, 2 * right) | {"seed": seed, "layers": layers}
    _print(singles, couples, report, is_standard_output(json))
    if markdown is not None:
        from refglow.atomic_file import write_atomically
        write_atomically(markdown, _markdown(singles, report).encode())
    write_json(json, report | {"mistakes": [_as_dict(one) for one in singles],
                               "both": [_as_dict(one) for one in couples]})
    raise typer.Exit(0 if report["passed"] else 1)


def _report(singles: list[Outcome], couples: list[Outcome], accused: list[Any],
            right: int) -> dict[str, Any]:
    detected = sum(not one.diagnosis.agrees for one in singles)
    named = sum(one.named for one in singles)
    both = sum(one.both_named for one in couples)
    passed = (detected == len(singles) and named >= 0.95 * len(singles)
              and both >= 0.7 * len(couples) and not accused)
    return {"planted": len(singles), "detected": detected, "named": named,
            "pairs": len(couples), "both_named": both, "without_mistakes": right,
            "falsely_accused": len(accused), "passed": passed}


def _as_dict(one: Outcome) -> dict[str, Any]:
    return {"name": one.name, "bug": one.bug, "origin": one.origin,
            "detected": not one.diagnosis.agrees, "named": one.named, "found": list(one.found)}


def _print(singles: list[Outcome], couples: list[Outcome], report: dict[str, Any],
           to_stderr: bool) -> None:
    from rich.markup import escape

    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console()
    out.print(_table("Planted mistakes", singles, lambda one: one.named))
    missed = [one for one in couples if not one.both_named]
    if missed:
        out.print(_table("Pairs of which not both are named", missed, lambda one: False))
    out.print(f"{report['detected']} of {report['planted']} mistakes detected, "
              f"{report['named']} named" + (
                  f"; of {report['pairs']} pairs both named in {report['both_named']}"
                  if report["pairs"] else "") + (
                  f"; of {report['without_mistakes']} without a mistake "
                  f"{report['falsely_accused']} accused" if report["without_mistakes"] else "")
              + escape("."))


def _table(title: str, outcomes: list[Outcome], good: Callable[[Outcome], bool]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for header in ("mistake", "what the diagnosis says", ""):
        table.add_column(header, overflow="fold")
    for one in outcomes:
        said = "; ".join(one.found) or ("unexplained" if one.diagnosis.findings else "nothing")
        table.add_row(escape(one.name), escape(said),
                      "[green]named[/]" if good(one) else "[yellow]not named[/]"
                      if one.diagnosis.findings else "[bold red]missed[/]")
    return table


def _markdown(singles: list[Outcome], report: dict[str, Any]) -> str:
    lines = ["# Planted mistakes, and what the diagnosis makes of them", "",
             "Written by `refglow mutants --markdown FILE`: each mistake is planted in an "
             "independent Glow (`refglow.validation.mutants`), which is diagnosed. "
             f"{report['detected']} of {report['planted']} are detected, {report['named']} named.",
             "", "| mistake | whose it is | the diagnosis | named |", "|---|---|---|---|"]
    for one in singles:
        said = "; ".join(one.found).replace("|", "\\|") or "differs, unexplained"
        bug = one.bug.replace("|", "\\|")
        lines.append(f"| {bug} | {one.origin} | {said} | {'yes' if one.named else 'no'} |")
    return "\n".join([*lines, ""])
