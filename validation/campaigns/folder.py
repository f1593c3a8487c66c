"""The files of a campaign, in one folder.

    settings.json     what determines the results; a campaign that goes on must have the same
    results.jsonl     a line for each item that was computed (see results_file.py)
    report.json       what all results say, when all are there

What is read is JSON, and no part of it names code to run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from refglow.atomic_file import can_write_in, write_atomically
from refglow.held_folder import held_folder
from refglow.validation.campaigns.campaign import Campaign, Json, Outcome, report_of, settings_of
from refglow.validation.campaigns.results_file import ResultsFile
from refglow.validation.strangers.files import parsed_json
from refglow.validation.strangers.text import shown

_ABSENT = object()


class CampaignFolder:
    """Where a campaign's files are."""

    def __init__(self, path: Path, campaign: Campaign) -> None:
        """Name the folder; nothing is made or read yet.

        Args:
          path: the folder.
          campaign: whose files it holds, or is to hold.
        """
        self.path, self.campaign = path, campaign
        self.settings = path / "settings.json"
        self.results = ResultsFile(path / "results.jsonl", settings_of(campaign))
        self.report = path / "report.json"

    def held(self) -> AbstractContextManager[None]:
        """Make the folder if it is not there; inside it, no other process can hold it.

        Raises:
          OSError, ValueError: as for `held_folder`.
        """
        return held_folder(self.path, "running a campaign")

    def begin(self, resume: bool) -> tuple[dict[int, Outcome], int]:
        """What is there of this campaign; where there are no results yet, the settings are written.

        Args:
          resume: whether results that are there are wanted. A finished campaign's always are.

        Returns:
          the results by index, and how many damaged lines are left out.

        Raises:
          OSError: if the folder cannot be read or written.
          ValueError: if it holds another campaign, files of none, or an unfinished one that the
            user does not want to resume.
        """
        campaign, wanted = self.campaign, json.loads(json.dumps(settings_of(self.campaign)))
        if not can_write_in(self.path):
            raise OSError(f"Cannot write in {self.path}.")
        found, damaged = self.results.read()
        if not self.settings.exists():
            for file in (self.results.path, self.report):
                if file.exists():
                    raise ValueError(f"{self.path} holds {file.name}, but no {self.settings.name} "
                                     "that says what it is of. Give another folder.")
        elif self.results.is_begun:
            self._require_same(wanted)
        if any(index not in range(len(campaign)) for index in found):
            raise ValueError(f"{self.results.path} holds results that are not of this campaign. "
                             "Give another folder.")
        if found and not resume and len(found) < len(campaign):
            raise ValueError(
                f"{self.path} holds a campaign of which {len(found)} of {len(campaign)} "
                f"{campaign.items} are done. Give --resume to go on with it, or another folder.")
        if not self.results.is_begun:
            write_atomically(self.settings, _text(wanted))
        self.results.drop_unfinished()
        return found, damaged

    def finish(self, outcomes: Mapping[int, Outcome]) -> Json:
        """The report, which is also written.

        Raises:
          OSError: if it cannot be written.
          ValueError: if the results are not such as the campaign computes.
        """
        try:
            report = report_of(self.campaign, list(outcomes.values()))
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise ValueError(f"{self.results.path} holds results that no such campaign computes "
                             f"({type(error).__name__}: {shown(str(error))}).") from error
        write_atomically(self.report, _text(report))
        return report

    def _require_same(self, wanted: Json) -> None:
        try:
            found = parsed_json(self.settings)
        except ValueError as error:
            raise ValueError(f"{self.settings} is not the JSON that a campaign writes: "
                             f"{shown(str(error))}.") from error
        if not isinstance(found, dict):
            raise ValueError(f"{self.settings} is not the JSON that a campaign writes.")
        different = [f"{shown(key)} is {_value(found, key)} there and {_value(wanted, key)} here"
                     for key in found | wanted
                     if found.get(key, _ABSENT) != wanted.get(key, _ABSENT)]
        if different:
            raise ValueError(f"{self.path} holds another campaign: {'; '.join(different)}. Give "
                             "another folder.")


def _value(settings: Mapping[str, Any], key: str) -> str:
    return shown(json.dumps(settings[key])) if key in settings else "not given"


def _text(content: Json) -> bytes:
    return json.dumps(content, indent=1, allow_nan=False).encode() + b"\n"
