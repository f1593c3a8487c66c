"""What became of each convention when a Glow went from one dialect into another."""

from __future__ import annotations

from dataclasses import dataclass

RE_INDEXED = "exact re-indexing"
REPARAMETRISED = "exact reparametrisation"
NOT_REPRESENTABLE = "not representable"


@dataclass(frozen=True)
class Conversion:
    """One convention's fate.

    Attributes:
      field: the question, a name in FIELDS, or the layer that is concerned.
      there, here: the answers in the first dialect and the second.
      label: RE_INDEXED (the same numbers in other places), REPARAMETRISED (other numbers, the same
        function, to rounding) or NOT_REPRESENTABLE.
      reason: how, or why not, in words.
    """

    field: str
    there: str
    here: str
    label: str
    reason: str


class NotRepresentableError(ValueError):
    """No arrays make a dialect compute this function; the message says why."""

    @classmethod
    def at(cls, where: str, reason: str) -> NotRepresentableError:
        """Of a part of a model that is to be taken over: where it is, and why it cannot be."""
        return cls(f"{where} cannot be taken over exactly: {reason}")
