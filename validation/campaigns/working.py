"""What runs on a worker; it is sent by name and with plain arguments."""

from __future__ import annotations

import functools
import json
from typing import Any

import refglow
from refglow.validation.campaigns.campaign import Campaign, campaign_of
from refglow.validation.implementations.calls import reason_of
from refglow.validation.strangers.text import one_line


def version() -> str:
    """Of the refglow that this worker has."""
    return refglow.__version__


def worked(settings: str, index: int) -> dict[str, Any]:
    """Compute one item: {"result": ...}, or {"failed": why} if it raises.

    Args:
      settings: the campaign's, as JSON.
      index: the item's number.
    """
    try:
        return {"result": _campaign(settings).run(index)}
    except (Exception, SystemExit) as error:
        return {"failed": one_line(reason_of(error))}


@functools.lru_cache(maxsize=1)
def _campaign(settings: str) -> Campaign:
    """Kept from item to item, with the model and the data that it has opened."""
    return campaign_of(json.loads(settings))
