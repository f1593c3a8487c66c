"""`refglow campaign`: thousands of comparisons, or a data set's bits/dim, on Dask's workers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from refglow.cli.bpd import PARTS, Most, Part, Seed
from refglow.cli.choices import require_choice
from refglow.cli.json_report import require_writable
from refglow.cli.messages import warnings_as_lines
from refglow.cli.model_options import Data, Model, NBits

campaign = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

_Out = Annotated[Path, typer.Option(help="The folder for the campaign's files.")]
_Workers = Annotated[int | None, typer.Option(
    help="Processes on this machine.", show_default="one for each core")]
_Scheduler = Annotated[str | None, typer.Option(
    metavar="ADDRESS", help="Compute on this Dask cluster instead, e.g. tcp://host:8786. Its "
    "machines must see the files by the same paths. Give none that you do not trust: it can run "
    "code here.")]
_Resume = Annotated[bool, typer.Option(
    "--resume", help="Go on with the campaign in the folder.")]
_Retry = Annotated[bool, typer.Option(
    "--retry", help="With --resume: compute again what could not be computed.")]
_Architectures = Annotated[int, typer.Option(min=1, help="How many random architectures.")]
_Json = Annotated[Path | None, typer.Option(
    help="Write the report as JSON to this file, too ('-': standard output).")]


@campaign.callback()
def _campaign() -> None:
    """Compare thousands of architectures, or measure bits/dim, on all cores or on a Dask cluster.

    Results are kept as they come: interrupted or killed, a campaign goes on with --resume, and its
    report is the same as if nothing had happened. A finished one only prints its report.

    Needs Dask: pip install "refglow[distributed]"

    The exit code is 0 if all is well, 1 if something differs or could not be computed, 2 if the
    campaign could not run or was interrupted.
    """


@campaign.command()
def validate(
    implementation: Annotated[str, typer.Option(
        metavar="FILE.py:NAME", help="The implementation, as for refglow validate.")],
    out: _Out,
    architectures: _Architectures = 1000,
    seed: Annotated[int, typer.Option(
        min=0, help="Of architectures, weights and images.")] = 0,
    images: Annotated[int, typer.Option(min=1, help="Random images for each.")] = 4,
    dtype: Annotated[str, typer.Option(help="float64, float32 or both.")] = "both",
    time_limit: Annotated[float, typer.Option(
        min=0.01, help="Seconds that a call may take.")] = 60.0,
    diagnosis_seconds: Annotated[float, typer.Option(
        min=0, help="Seconds to look for what explains an architecture's differences; 0: not "
        "at all.")] = 20.0,
    workers: _Workers = None, scheduler: _Scheduler = None, resume: _Resume = False,
    retry: _Retry = False, json: _Json = None,
) -> None:
    """Hold a Glow of yours in Python against the specification on random architectures.

    Those that differ are grouped by what explains them; the smallest is saved, with the command
    that compares it alone.
    """
    from refglow.cli.campaign_words import implementation_words
    from refglow.cli.validate_implementation import DTYPES, require_dtype
    from refglow.validation.campaigns.of_implementation import (
        ImplementationCampaign,
        absolute,
        digest_of,
    )
    from refglow.validation.implementations.source import source_of

    require_dtype(dtype)
    require_writable(json)
    chosen = ImplementationCampaign(
        absolute(implementation), digest_of(source_of(implementation)), architectures, seed,
        images, list(DTYPES[dtype]), time_limit, diagnosis_seconds)
    _run(chosen, implementation_words, _how(out, workers, scheduler, resume, retry, json))


@campaign.command()
def tfp(
    out: _Out,
    architectures: _Architectures = 1000,
    seed: Annotated[int, typer.Option(
        min=0, help="Of architectures, weights and images.")] = 0,
    workers: _Workers = None, scheduler: _Scheduler = None, resume: _Resume = False,
    retry: _Retry = False, json: _Json = None,
) -> None:
    """Hold refglow against the installed TFP, as `refglow validate --live tfp` does."""
    from refglow.cli.campaign_words import tfp_words
    from refglow.validation.campaigns.of_tfp import TfpCampaign
    from refglow.validation.tfp.framework import tfp_version

    require_writable(json)
    chosen = TfpCampaign(architectures, seed, tfp_version())
    _run(chosen, tfp_words, _how(out, workers, scheduler, resume, retry, json))


@campaign.command()
def bpd(
    model: Model,
    out: _Out,
    data: Data = None, part: Part = "test",
    most: Most = None, seed: Seed = 0, n_bits: NBits = None,
    shard: Annotated[int, typer.Option(
        min=1, help="Images that a worker evaluates before it gives a result.")] = 512,
    batch_size: Annotated[int, typer.Option(
        min=1, help="Images at a time; memory grows with it.")] = 32,
    workers: _Workers = None, scheduler: _Scheduler = None, resume: _Resume = False,
    retry: _Retry = False, json: _Json = None,
) -> None:
    """Measure the mean bits per dimension of images: the number of `refglow bpd`, bit for bit.

    Each worker opens the model and the images itself and evaluates some shards.
    """
    from refglow.cli.campaign_words import bits_per_dim_words
    from refglow.validation.campaigns.of_data import campaign_over

    require_choice("--part", part, PARTS)
    require_writable(json)
    with warnings_as_lines():
        chosen = campaign_over(model, data, part, most, n_bits, seed=seed, shard=shard,
                               batch_size=batch_size)
    _run(chosen, bits_per_dim_words, _how(out, workers, scheduler, resume, retry, json))


def _how(out: Path, workers: int | None, scheduler: str | None, resume: bool, retry: bool,
         json: Path | None) -> Any:
    """How to run it, checked."""
    from refglow.cli.campaign_run import How

    if workers is not None and scheduler is not None:
        raise typer.BadParameter("goes without --scheduler, whose cluster has its own.",
                                 param_hint="--workers")
    if workers is not None and workers < 1:
        raise typer.BadParameter(f"must be at least 1; got {workers}.", param_hint="--workers")
    if retry and not resume:
        raise typer.BadParameter("goes with --resume.", param_hint="--retry")
    return How(out, workers, scheduler, resume, retry, json)


def _run(chosen: Any, words: Any, how: Any) -> None:
    from refglow.cli.campaign_run import run

    raise typer.Exit(0 if run(chosen, words, how)["passed"] else 1)
