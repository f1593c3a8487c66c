"""`refglow dialects`: the conventions of known Glow implementations, and how they differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from refglow.validation.dialects.known import KnownDialect

_SHOWN = ("squeeze", "step_order", "actnorm", "factors", "affine", "scale", "latents")


def dialects(
    name: Annotated[str | None, typer.Argument(
        help="Show one dialect with all its answers.")] = None,
    compare: Annotated[tuple[str, str] | None, typer.Option(
        help="Show where two dialects differ.", metavar="A B")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write what is shown as JSON to this file ('-': standard output).")] = None,
) -> None:
    """List what known implementations of Glow do: orders, signs, scales, what each array means.

    Without a name: a table of all, with the questions on which they differ most. A dialect's
    answers are read from the project's code; what no answer can say stands below them.
    """
    from refglow.validation.dialects.known import KNOWN
    from refglow.validation.table import console, stderr_console

    if name is not None and compare is not None:
        raise typer.BadParameter("compares two dialects; leave out the name.",
                                 param_hint="--compare")
    for asked in compare or ([name] if name else []):
        if asked not in KNOWN:
            raise ValueError(f"No dialect is called {asked!r}; known are {', '.join(KNOWN)}.")
    require_writable(json)
    if compare is not None:
        table, report = _differences(*compare, KNOWN[compare[0]], KNOWN[compare[1]])
    elif name is not None:
        table, report = _one(name, KNOWN[name])
    else:
        table, report = _all(KNOWN)
    out = stderr_console() if is_standard_output(json) else console()
    out.print(table)
    for beyond in report["beyond"]:
        out.print(beyond, markup=False)
    write_json(json, report)


def _all(known: dict[str, KnownDialect]) -> tuple[Table, dict[str, Any]]:
    from dataclasses import asdict
    table = _table("Known dialects of Glow", "name", *_SHOWN)
    for name, entry in known.items():
        table.add_row(name, *(_cell(getattr(entry.dialect, field)) for field in _SHOWN))
    return table, {"beyond": [], "dialects": [
        {"name": name, "title": entry.title, "beyond": entry.beyond,
         "answers": asdict(entry.dialect)}
        for name, entry in known.items()]}


def _one(name: str, entry: KnownDialect) -> tuple[Table, dict[str, Any]]:
    from dataclasses import asdict

    from refglow.validation.dialects.dialect import FIELDS
    table = _table(f"{name}: {entry.title}", "question", "in words", "answer")
    answers = asdict(entry.dialect)
    for field, answer in answers.items():
        table.add_row(field, _cell(FIELDS[field].question), _cell(answer))
    return table, {"name": name, "title": entry.title, "answers": answers,
                   "beyond": [f"Beyond these: {entry.beyond}."] if entry.beyond else []}


def _differences(first: str, second: str, here: KnownDialect, there: KnownDialect
                 ) -> tuple[Table, dict[str, Any]]:
    from refglow.validation.dialects.dialect import FIELDS
    differences = list(here.dialect.differences(there.dialect))
    table = _table(f"{first} and {second}: {len(differences)} answers differ", "question",
                   "in words", first, second)
    for field, ours, theirs in differences:
        table.add_row(field, _cell(FIELDS[field].question), _cell(ours), _cell(theirs))
    return table, {
        "first": first, "second": second, "differences": [
            {"question": field, "in_words": FIELDS[field].question, first: ours, second: theirs}
            for field, ours, theirs in differences],
        "beyond": [f"{name}, beyond these: {entry.beyond}."
                   for name, entry in ((first, here), (second, there)) if entry.beyond]}


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _cell(text: str) -> str:
    from rich.markup import escape
    return escape(text)
