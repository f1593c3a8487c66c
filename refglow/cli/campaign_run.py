"""Running a campaign from the command line: what is left to do, the progress, the report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refglow.cli.json_report import is_standard_output, write_json
from refglow.cli.messages import say, warnings_as_lines
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from rich.console import Console

    from refglow.validation.campaigns.campaign import Campaign, Outcome
    from refglow.validation.campaigns.folder import CampaignFolder

Words = Callable[["Campaign", dict[str, Any], Path, "Console"], None]


@dataclass(frozen=True)
class How:
    """How to run it; the results do not depend on it.

    Attributes:
      out: the folder.
      workers: processes on this machine; None: one for each core.
      scheduler: the address of a cluster's instead, or None.
      resume: go on with what is in the folder.
      retry: compute again what could not be computed.
      json: where the report goes, too.
    """

    out: Path
    workers: int | None
    scheduler: str | None
    resume: bool
    retry: bool
    json: Path | None

    @property
    def to_stderr(self) -> bool:
        """Whether standard output is taken by JSON."""
        return is_standard_output(self.json)


def run(campaign: Campaign, words: Words, how: How) -> dict[str, Any]:
    """Compute what is missing, print the report and return it.

    Args:
      campaign: what to compute.
      words: prints what is particular to its kind.
      how: to run it.

    Raises:
      OSError, ValueError, ImportError: if it cannot run, or is interrupted; what is done is kept.
    """
    from refglow.validation.campaigns.folder import CampaignFolder

    folder = CampaignFolder(how.out, campaign)
    with folder.held():
        there, damaged = folder.begin(how.resume)
        done = {index: one for index, one in there.items() if not (how.retry and one.failed)}
        _say_start(campaign, folder, done, damaged, how.to_stderr)
        missing = [index for index in range(len(campaign)) if index not in done]
        if missing:
            _compute(campaign, folder, missing, done, how)
        report = folder.finish(done)
    _print(campaign, report, words, how)
    write_json(how.json, report)
    return report


def _say_start(campaign: Campaign, folder: CampaignFolder, done: dict[int, Outcome],
               damaged: int, to_stderr: bool) -> None:
    if damaged:
        say(f"{damaged} line(s) of {folder.results.path} are damaged, unfinished or of another "
            "campaign, and are left out.", to_stderr=True)
    if len(done) == len(campaign):
        say(f"The campaign in {folder.path} is finished: nothing is left to compute.",
            to_stderr=to_stderr)
    elif done:
        say(f"Going on after {len(done)} of {len(campaign)} {campaign.items}.",
            to_stderr=to_stderr)


def _compute(campaign: Campaign, folder: CampaignFolder, missing: list[int],
             done: dict[int, Outcome], how: How) -> None:
    """Add the missing outcomes to those that are done, and to the file."""
    from refglow.validation.campaigns.engine import computed

    try:
        campaign.require_possible()
        with warnings_as_lines(), _client(how) as client:
            for outcome in tracked(computed(campaign, missing, client), len(missing),
                                   campaign.items):
                folder.results.append(outcome)
                done[outcome.index] = outcome
    except (KeyboardInterrupt, OSError) as error:
        there = len(folder.results.read()[0])
        going_on = (f"{there} of {len(campaign)} {campaign.items} are done. The same command "
                    "with --resume goes on.")
        if isinstance(error, KeyboardInterrupt):
            raise ValueError(f"Stopped. {going_on}") from None
        if there:
            error.add_note(going_on)
        raise


def _client(how: How) -> AbstractContextManager[Any]:
    from refglow.validation.campaigns.workers import cluster_at, local_workers

    return local_workers(how.workers) if how.scheduler is None else cluster_at(how.scheduler)


def _print(campaign: Campaign, report: dict[str, Any], words: Words, how: How) -> None:
    from refglow.cli.campaign_words import failed_words
    from refglow.validation.table import console, stderr_console

    out = stderr_console() if how.to_stderr else console()
    words(campaign, report, how.out, out)
    failed_words(campaign, report, out)
    out.print(f"The report is {how.out / 'report.json'}", markup=False, soft_wrap=True)
