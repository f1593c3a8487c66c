"""What a campaign is: numbered items, each computed by itself, and a report of all results."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import refglow

Json = dict[str, Any]

# Where the class of each kind is; the class is named as the kind is.
_MODULES = {"ImplementationCampaign": "of_implementation", "TfpCampaign": "of_tfp",
            "BitsPerDimCampaign": "of_data"}


@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Attributes:
      index: its number.
      result: what it computed, as JSON; None if it could not be computed.
      failed: why it could not be computed, on one line; "" if it was.
    """

    index: int
    result: Json | None
    failed: str = ""


class Campaign(Protocol):
    """A kind of campaign: a frozen dataclass, whose fields are its settings, as JSON."""

    items: ClassVar[str]  # what an item is called, in the plural

    def __len__(self) -> int:
        """The number of items."""

    def require_possible(self) -> None:
        """Find out before the work what would make every item fail.

        Raises:
          OSError, ValueError, ImportError: if something would.
        """

    def run(self, index: int) -> Json:
        """Compute one item, from the settings and its number alone."""

    def report(self, results: Mapping[int, Json]) -> Json:
        """What all results say: "passed" and more, as JSON.

        Args:
          results: by number, in order; items that could not be computed are missing.
        """


def settings_of(campaign: Campaign) -> Json:
    """All that determines the results, as JSON."""
    fields: Any = campaign
    return {"kind": type(campaign).__name__, "refglow": refglow.__version__, **asdict(fields)}


def campaign_of(settings: Mapping[str, Any]) -> Campaign:
    """The campaign with these settings.

    Raises:
      ValueError: if they are of another version of refglow.
    """
    fields = dict(settings)
    kind, version = fields.pop("kind"), fields.pop("refglow")
    if version != refglow.__version__:
        raise ValueError(f"the campaign is of refglow {version}; here it is {refglow.__version__}")
    module = importlib.import_module(f"refglow.validation.campaigns.{_MODULES[kind]}")
    campaign: Campaign = getattr(module, kind)(**fields)
    return campaign


def report_of(campaign: Campaign, outcomes: Sequence[Outcome]) -> Json:
    """The report: a function of the settings and the results, whatever computed them.

    Args:
      campaign: the campaign.
      outcomes: of all items.
    """
    ordered = sorted(outcomes, key=lambda one: one.index)
    found = campaign.report({one.index: one.result for one in ordered if one.result is not None})
    failed = [{"index": one.index, "reason": one.failed} for one in ordered if one.result is None]
    return {"settings": settings_of(campaign), "items": len(campaign), "failed": failed, **found,
            "passed": found["passed"] and not failed}
