"""The command `refglow`: its subcommands, and how it fails.

Exit codes: 0 all is well, 1 a comparison failed, 2 the request cannot be met (one line on stderr
says why).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import refglow
from refglow.cli.audit import audit
from refglow.cli.bench import bench
from refglow.cli.bpd import bpd
from refglow.cli.campaign import campaign
from refglow.cli.dialects import dialects
from refglow.cli.errata import errata
from refglow.cli.explain import explain
from refglow.cli.explorer import explorer
from refglow.cli.interpolate import interpolate
from refglow.cli.mutants import mutants
from refglow.cli.sample import sample
from refglow.cli.train import train
from refglow.cli.validate import validate
from refglow.cli.vectors import vectors

app = typer.Typer(name="refglow", no_args_is_help=True, add_completion=False,
                  rich_markup_mode="markdown", pretty_exceptions_enable=False)
app.command()(validate)
app.command()(errata)
app.command()(audit)
app.command()(explain)
app.command()(explorer)
app.command()(dialects)
app.command()(mutants)
app.command()(train)
app.command()(sample)
app.command()(interpolate)
app.command()(bpd)
app.add_typer(bench, name="bench")
app.add_typer(vectors, name="vectors")
app.add_typer(campaign, name="campaign")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(refglow.__version__)
        raise typer.Exit


@app.callback()
def _refglow(version: Annotated[bool, typer.Option(
        "--version", callback=_print_version, is_eager=True,
        help="Print the version and exit.")] = False) -> None:
    """The reference for the Glow normalizing flow.

    To hold a Glow of yours against it, begin with `refglow validate --help`.
    """


def main() -> None:
    """Run the command line; what cannot be met becomes one line on stderr and exit code 2."""
    try:
        app()
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        message = " ".join([str(error) or type(error).__name__, *getattr(error, "__notes__", [])])
        typer.echo(f"refglow: {' '.join(message.split())}", err=True)
        sys.exit(2)
