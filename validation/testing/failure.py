"""What a failed test says: what differs, where first, what explains it, how to see more."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rich.console import Console, RenderableType

from refglow.validation.diagnosis.of_conformance import diagnosis_of, explanation_of
from refglow.validation.implementations.conformance import Conformance
from refglow.validation.implementations.own_consistency import OWN
from refglow.validation.implementations.report import LABELS, conformance_table, details

_WIDTH = 80  # characters
_MOST_NAMED = 4  # in the first line
_IN_THE_HEADLINE = {"layers": "layers", OWN: "its own consistency"}


def failure(level: str, found: Sequence[Conformance], lacking: Sequence[str],
            looked_into: Conformance | None, seconds: float, command: str) -> str:
    """The message of the AssertionError; its first line, which summaries show, says the most.

    Args:
      level: what was asked for.
      found: for each number type.
      lacking: what was not offered or not compared, in words.
      looked_into: what is to be diagnosed, with layers if there are any; None for nothing.
      seconds: how long the diagnosis may take.
      command: how to see more.
    """
    wrong = [_what_differs(one) for one in found if not one.passed]
    parts: list[RenderableType] = []
    if any(one.rows for one in wrong):
        parts.append(conformance_table(wrong))
    parts += details(wrong)
    if looked_into is not None and not any(one.layers for one in wrong):
        parts += details([replace(_what_differs(looked_into), rows=(), failed=())])
    text = [_headline(level, wrong, lacking), *_as_text(parts)]
    if looked_into is not None:
        text += _explained(looked_into, seconds)
    return "\n".join([*text, f"To see more: {command}"])


def _explained(one: Conformance, seconds: float) -> list[str]:
    """The diagnosis in words; nothing where only calls failed, and all that was given agrees."""
    diagnosis = diagnosis_of(one, seconds)
    if diagnosis.agrees and all(row.passed for row in one.rows):
        return []
    return [f"What explains it ({one.dtype}):", *(
        textwrap.fill(paragraph, _WIDTH, initial_indent="  - ", subsequent_indent="    ",
                      break_long_words=False) for paragraph in explanation_of(one, diagnosis))]


def _headline(level: str, wrong: Sequence[Conformance], lacking: Sequence[str]) -> str:
    differ = list(dict.fromkeys(_label(row.bijector) for one in wrong for row in one.rows))
    failed = list(dict.fromkeys(_label(call.offering) for one in wrong for call in one.failed))
    said = [f"{_listed(differ)} {_verb(differ)}"] if differ else []
    if failed:
        said.append(f"{_listed(failed)} cannot be compared")
    return f'At level "{level}": {"; ".join([*said, *lacking])}.'


def _verb(names: Sequence[str]) -> str:
    return "differs" if len(names) == 1 else "differ"


def _label(name: str) -> str:
    return _IN_THE_HEADLINE.get(name, LABELS.get(name, name))


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _what_differs(one: Conformance) -> Conformance:
    """The comparison without what agrees; the calls that failed because nothing is offered too."""
    return replace(one, rows=tuple(row for row in one.rows if not row.passed), absent=(),
                   skipped=(), remarks=(), failed=one.failed if one.offered else ())


def _as_text(parts: Iterable[RenderableType]) -> list[str]:
    """Lines of at most _WIDTH characters, without colours."""
    text = io.StringIO()
    console = Console(file=text, width=_WIDTH, color_system=None, force_terminal=False,
                      highlight=False)
    for part in parts:
        console.print(part)
    return [line.rstrip() for line in text.getvalue().splitlines()]
