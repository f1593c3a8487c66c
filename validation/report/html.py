"""A report as one HTML page, which loads nothing and runs no scripts.

All text is escaped. Characters that turn the direction of text or control a device are shown by
their code points, so that a name cannot make the page say something else.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from refglow.atomic_file import write_atomically
from refglow.validation.report.figures import of_tolerance
from refglow.validation.report.map_drawing import classes_of
from refglow.validation.report.record import IMPLEMENTATION, RESULTS, Report
from refglow.validation.report.scale import scale_of
from refglow.validation.report.strips import blocks_of, error_strip, log_det_strip
from refglow.validation.table import ratios_pass
from refglow.validation.vectors.flags import FLAGS

_MOST_CHARACTERS = 4000  # of one text
# Controls, lone surrogates, and marks that turn the direction of the text around them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e"
                     "\u2060-\u206f\ufeff\ud800-\udfff]")
_TEMPLATES = {IMPLEMENTATION: "implementation.html", RESULTS: "vectors.html"}


def write_html(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as one HTML file, atomically.

    Args:
      path: of the file.
      report: what was found.

    Raises:
      OSError: if the file cannot be written.
    """
    write_atomically(Path(path), html_page(report).encode())


def html_page(report: Report) -> str:
    """The page."""
    template = _environment().get_template(_TEMPLATES.get(report.kind, "sections.html"))
    return template.render(report=report)


def number(value: float | None, digits: int = 1) -> str:
    """A number as the page shows it: "3.2e-13", "0", "not finite"; "" for None.

    Args:
      value: the number.
      digits: behind the point.
    """
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    return "0" if value == 0 else f"{value:.{digits}e}"


def amount(value: float | None) -> str:
    """A number of any size, to three digits: "0.25", "1540", "2.3e+09"."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return "not finite"
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.3g}"


def visible(value: Any) -> Any:
    """What is put into the page in place of a value: text without characters that are not seen.

    Args:
      value: any; of a template's own, what has been made HTML already.
    """
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    text = value if len(value) <= _MOST_CHARACTERS else value[:_MOST_CHARACTERS] + " ..."
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("refglow.validation.report", "templates"), autoescape=True,
        undefined=StrictUndefined, finalize=visible, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "amount": amount,
                            "of_tolerance": of_tolerance}
    environment.globals |= {
        "classes_of": classes_of, "scale_of": scale_of, "blocks_of": blocks_of,
        "error_strip": error_strip, "log_det_strip": log_det_strip, "FLAGS": FLAGS,
        "median": median, "ratios_pass": ratios_pass}
    return environment
