"""`refglow bench`: microbenchmarks of the kernels, and whole models beside other libraries."""

from __future__ import annotations

import typer

from refglow.cli.bench_cpu import cpu
from refglow.cli.bench_cuda import cuda
from refglow.cli.bench_model import model
from refglow.cli.bench_static import static

bench = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown",
                    help="Verify kernels and models, then time them.")
bench.command()(cpu)
bench.command()(cuda)
bench.command()(static)
bench.command()(model)
