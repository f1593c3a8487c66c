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
    gain: Annotated[float, typer.Option(
        min=0, max=10, help="Of the weights of those; larger ones are worse conditioned.")] = 0.5,
    layers: Annotated[bool, typer.Option(
        help="Whether the diagnosis sees the layers' outputs.")] = True,
    model: Annotated[str, typer.Option(
        help="What single mistakes are planted in: two-blocks, three-blocks (other exits), "
        "no-actnorm, additive (shifts only), or all of these.")] = "two-blocks",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, images, pairs.")] = 0,
    markdown: Annotated[Path | None, typer.Option(
        help="Write the table of mistakes as Markdown to this file.")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Plant mistakes in an independent Glow and see which the diagnosis names.

    A mistake that changes nothing of a model (one of scales, in a model without any) is not counted
    there. Where several are the same function (s x + t and x / s + t, s being 1), the first that
    explains it is named, and another one counts as not named.

    The exit code is 0 if every mistake is detected, at least 95 of 100 are named, at least 70 of
    100 pairs are, and no implementation without a mistake is accused; else 1.
    """
    from refglow.validation.diagnosis import planted

    chosen, families = planted.mistakes(only), _families(model, list(planted.FAMILIES))
    for path in (json, markdown):
        require_writable(path)
    by_family = {family: [one for one in tracked(
        planted.singles(chosen, seed, layers, family), len(chosen), f"mistakes, {family}")
        if one.shows] for family in families}
    couples = list(tracked(planted.pairs(pairs, seed, layers), pairs, "pairs"))
    accused = [(dtype, diagnosis) for dtype, diagnosis in tracked(
        planted.without_mistakes(right, seed, gain), 2 * right, "without mistakes")
        if not diagnosis.agrees]
    report = _report(by_family, couples, accused, 2 * right) | {
        "seed": seed, "gain": gain, "layers": layers}
    _print(by_family, couples, report, is_standard_output(json))
    if markdown is not None:
        from refglow.atomic_file import write_atomically
        write_atomically(markdown, _markdown(by_family, report).encode())
    write_json(json, report | {
        "mistakes": [_as_dict(one) | {"model": family} for family, singles in by_family.items()
                     for one in singles],
        "both": [_as_dict(one) for one in couples]})
    raise typer.Exit(0 if report["passed"] else 1)


def _families(model: str, known: list[str]) -> list[str]:
    if model not in (*known, "all"):
        raise typer.BadParameter(f"can be {', '.join(known)} or all; got {model!r}.",
                                 param_hint="--model")
    return known if model == "all" else [model]


def _report(by_family: dict[str, list[Outcome]], couples: list[Outcome], accused: list[Any],
            right: int) -> dict[str, Any]:
    counts = {family: _counts(singles) for family, singles in by_family.items()}
    singles = [one for some in by_family.values() for one in some]
    detected, named = (sum(count[what] for count in counts.values())
                       for what in ("detected", "named"))
    both = sum(one.both_named for one in couples)
    passed = (detected == len(singles) and named >= 0.95 * len(singles)
              and both >= 0.7 * len(couples) and not accused)
    return {"models": counts, "planted": len(singles), "detected": detected, "named": named,
            "pairs": len(couples), "both_named": both, "without_mistakes": right,
            "falsely_accused": len(accused), "passed": passed}


def _counts(singles: list[Outcome]) -> dict[str, int]:
    return {"planted": len(singles),
            "detected": sum(not one.diagnosis.agrees for one in singles),
            "named": sum(one.named for one in singles)}


def _as_dict(one: Outcome) -> dict[str, Any]:
    return {"name": one.name, "bug": one.bug, "origin": one.origin,
            "detected": not one.diagnosis.agrees, "named": one.named, "found": list(one.found)}


def _print(by_family: dict[str, list[Outcome]], couples: list[Outcome],
           report: dict[str, Any], to_stderr: bool) -> None:
    from rich.markup import escape

    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console()
    for family, singles in by_family.items():
        out.print(_table(f"Planted mistakes, model {family}", singles, lambda one: one.named))
    if len(by_family) > 1:
        for family, count in report["models"].items():
            out.print(f"{family}: {count['detected']} of {count['planted']} mistakes that show "
                      f"there detected, {count['named']} named")
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


def _markdown(by_family: dict[str, list[Outcome]], report: dict[str, Any]) -> str:
    from refglow.validation.mutants.checklist import CHECKLIST

    lines = ["# Planted mistakes, and what the diagnosis makes of them", "",
             "Written by `refglow mutants --markdown FILE`: each mistake is planted in an "
             "independent Glow (`refglow.validation.mutants`), which is diagnosed. "
             f"{report['detected']} of {report['planted']} are detected, {report['named']} named.",
             *_table_of_models(report["models"])]
    for family, singles in by_family.items():
        chosen = singles if family == next(iter(by_family)) else [
            one for one in singles if not one.named]
        if len(by_family) > 1:
            lines += ["", f"## {family}"] + (
                [] if chosen is singles else ["", "All but these are named." if chosen
                                              else "All are named."])
        if chosen:
            lines += ["", "| mistake | whose it is | the diagnosis | named |", "|---|---|---|---|"]
        for one in chosen:
            said = "; ".join(one.found).replace("|", "\\|") or "differs, unexplained"
            bug = one.bug.replace("|", "\\|")
            lines.append(f"| {bug} | {one.origin} | {said} | {'yes' if one.named else 'no'} |")
    lines += ["", "## Where implementations differ, row by row", "",
              "| what differs, or what people report | planted as, or why not |", "|---|---|"]
    lines += [f"| {row} | {', '.join(names) or why} |" for row, names, why in CHECKLIST]
    return "\n".join([*lines, ""])


def _table_of_models(counts: dict[str, dict[str, int]]) -> list[str]:
    if len(counts) == 1:
        return []
    return ["", "Only mistakes that change something of a model are counted there.", "",
            "| model | planted | detected | named |", "|---|---|---|---|",
            *(f"| {family} | {count['planted']} | {count['detected']} | {count['named']} |"
              for family, count in counts.items())]
