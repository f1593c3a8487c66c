"""What a page that loads nothing holds of scripts: their data, and the policy that allows them."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from markupsafe import Markup


def json_in_script(value: Any) -> Markup:
    """JSON that can stand inside a script element of an HTML page, and cannot end it.

    Raises:
      ValueError: if a number is not finite.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def policy_source(text: str) -> Markup:
    """What a Content-Security-Policy calls the inline style or script of that text."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(f"'sha256-{digest}'")
