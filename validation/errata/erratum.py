"""What an erratum is: a place where TFP's code and its documentation part, with demonstrations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Demonstration:
    """What was observed when a demonstration ran.

    Attributes:
      observed: what happened, in a line.
      holds: for TFP's side, whether the erratum was reproduced; for refglow's, whether refglow
        behaves as its entry says.
    """

    observed: str
    holds: bool


@dataclass(frozen=True)
class Erratum:
    """One departure of TFP's code from its documentation.

    Attributes:
      identifier: a short name, unique among the errata.
      title: what it is about.
      where: which part of the documentation is concerned.
      documented: what that part says, in other words.
      tfp_does: what TFP 0.25 does instead.
      refglow_does: what refglow does.
      follows: what refglow follows where the two part; "neither" where TFP's code works as
        documented in letter but harms the user, and refglow adds a warning or an error.
      show_tfp: runs TFP (imported on the call) and reports whether the departure is still there.
      show_refglow: runs refglow and reports whether it does what `refglow_does` says.
    """

    identifier: str
    title: str
    where: str
    documented: str
    tfp_does: str
    refglow_does: str
    follows: Literal["documentation", "code", "neither"]
    show_tfp: Callable[[], Demonstration]
    show_refglow: Callable[[], Demonstration]

    def reproduce(self) -> Demonstration:
        """`show_tfp`, without TensorFlow's warnings; a demonstration that fails reproduces nothing.

        Raises:
          ImportError: if TFP is not installed.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _safely(self.show_tfp)

    def check(self) -> Demonstration:
        """`show_refglow`; a demonstration that fails does not hold."""
        return _safely(self.show_refglow)


@dataclass(frozen=True)
class Outcome:
    """The result of an attempt: a value or an error, and the warnings given on the way."""

    value: Any
    error: Exception | None
    warned: tuple[str, ...]

    def raised(self, kind: type[Exception], *fragments: str) -> bool:
        """Whether it ended in an error of this type whose message has these fragments."""
        return isinstance(self.error, kind) and all(f in str(self.error) for f in fragments)

    def __str__(self) -> str:
        if self.error is not None:
            return shortened(f"{type(self.error).__name__}: {self.error}")
        return shortened(str(self.value))


def attempt(act: Callable[[], Any]) -> Outcome:
    """Call `act`, keeping its value or error, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value, error = None, None
        try:
            value = act()
        except Exception as raised:  # whatever is raised is what is to be shown
            error = raised
    return Outcome(value, error, tuple(str(warning.message) for warning in caught))


def raises(act: Callable[[], Any], kind: type[Exception], *fragments: str) -> Demonstration:
    """Show that `act` raises an error of this type with these fragments in its message."""
    outcome = attempt(act)
    return Demonstration(str(outcome), outcome.raised(kind, *fragments))


def shortened(text: str, length: int = 160) -> str:
    """`text` on one line, cut to a readable length."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length - 3] + "..."


def _safely(show: Callable[[], Demonstration]) -> Demonstration:
    try:
        shown = show()
        return Demonstration(shown.observed, bool(shown.holds))  # NumPy's bool is no JSON
    except ImportError:
        raise
    except Exception as error:  # one broken demonstration must not hide the others
        return Demonstration(shortened(f"the demonstration failed: {type(error).__name__}: "
                                       f"{error}"), False)
