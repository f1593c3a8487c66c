"""What an importer gives: a Glow in its own project's dialect, and what was done to its arrays.

A thing is taken over in one of two ways (`conversion.py`): as the same numbers in other places, or
as other numbers that are the same function to rounding. Whatever is neither raises
NotRepresentableError; nothing is left out or replaced silently.
"""

from __future__ import annotations

from dataclasses import dataclass

from refglow.validation.dialects.conversion import (
    RE_INDEXED,
    REPARAMETRISED,
    Conversion,
    NotRepresentableError,
)
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow


@dataclass(frozen=True)
class Imported:
    """A Glow from elsewhere.

    Attributes:
      glow: computes what the original computes, in its dialect.
      conversions: what became of each kind of thing.
    """

    glow: DialectGlow
    conversions: tuple[Conversion, ...]


def re_indexed(field: str, there: str, here: str, reason: str) -> Conversion:
    """The same numbers in other places."""
    return Conversion(field, there, here, RE_INDEXED, reason)


def reparametrised(field: str, there: str, here: str, reason: str) -> Conversion:
    """Other numbers, the same function to rounding."""
    return Conversion(field, there, here, REPARAMETRISED, reason)


def factors_taken(arrays: str, whole: str, last: str, factors: str, multiplied: bool,
                  parts: str = "steps") -> Conversion:
    """What became of 1x1 convolutions that stand in a checkpoint as factors or as a matrix.

    Args:
      arrays: the factors' names there.
      whole: the matrix's name there.
      last: how U's diagonal comes from the last two of them.
      factors: the answer here.
      multiplied: whether factors were multiplied, as others are whole.
      parts: what the project calls what they stand in.
    """
    if factors != "P L U" and not multiplied:
        return re_indexed("factors", whole, factors, f"{whole} itself")
    return reparametrised("factors", arrays, factors,
                          f"multiplied together, as other {parts} have W itself" if multiplied
                          else f"U's diagonal is {last}")


class Answers:
    """What a model's parts answer to a dialect's questions; all parts must say the same."""

    def __init__(self) -> None:
        """Nothing is answered yet."""
        self._found: dict[str, tuple[str, str]] = {}

    def add(self, where: str, **answers: str | None) -> None:
        """Take a part's answers; None is no answer.

        Raises:
          NotRepresentableError: if another part answered otherwise: a dialect has one answer for
            the whole model.
        """
        for field, answer in answers.items():
            if answer is None:
                continue
            before, earlier = self._found.setdefault(field, (answer, where))
            if before != answer:
                raise NotRepresentableError.at(
                    where, f"its {field} is {answer!r}, that of {earlier} is {before!r}; a dialect "
                    "has one answer for the whole model.")

    def dialect(self, base: Dialect) -> Dialect:
        """`base` with these answers."""
        return base.but(**{field: answer for field, (answer, _) in self._found.items()})

    def get(self, field: str) -> str | None:
        """The answer to one question, if there is one."""
        return self._found[field][0] if field in self._found else None
