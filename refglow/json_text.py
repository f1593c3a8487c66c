"""Reports as JSON, which knows no infinity or NaN: they become strings."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(report: dict[str, Any]) -> str:
    """A report for a file that people may read too."""
    return json.dumps(with_finite_numbers(report), indent=1, allow_nan=False) + "\n"


def with_finite_numbers(value: Any) -> Any:
    """`value`, lists and dicts of anything, with "nan", "inf" and "-inf" for such floats."""
    if isinstance(value, dict):
        return {key: with_finite_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_finite_numbers(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
