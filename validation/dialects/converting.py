"""From one dialect into another: the same function, where the other can compute it.

A Glow's route is what it does. Field by field the route is changed so that it does the same in
the target's answer, and written down as the target arranges it. A field that resists is tried again
when the others are done; what then remains is not representable, and each has its reason.

    exact re-indexing          the same numbers in other places
    exact reparametrisation    other numbers, the same function to rounding
    not representable          no weights of the same kind of network give this function
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from refglow.validation.dialects.conversion import (
    NOT_REPRESENTABLE,
    RE_INDEXED,
    REPARAMETRISED,
    Conversion,
    NotRepresentableError,
)
from refglow.validation.dialects.converting_channels import CHANNEL_RULES, RESULT_RULES
from refglow.validation.dialects.converting_networks import NETWORK_RULES, Rule
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.dialect_glow import DialectGlow
from refglow.validation.dialects.route import Route, route_of
from refglow.validation.dialects.writing import written

_RULES: dict[str, Rule] = NETWORK_RULES | CHANNEL_RULES | RESULT_RULES


@dataclass(frozen=True)
class Converted:
    """A Glow in another dialect.

    Attributes:
      glow: in the target's; None if it is not representable there.
      conversions: one for each field in which the two differ, in the order of FIELDS.
    """

    glow: DialectGlow | None
    conversions: tuple[Conversion, ...]

    @property
    def obstacles(self) -> tuple[Conversion, ...]:
        """What is not representable."""
        return tuple(c for c in self.conversions if c.label == NOT_REPRESENTABLE)


def converted(glow: DialectGlow, target: Dialect) -> Converted:
    """The same function in another dialect.

    Values are those of `glow` to rounding, the latents in the target's order, and so is the map's
    true log-det. A dialect that is mistaken about log-dets stays so: weights cannot mend that, and
    what one layer says of itself can go to another.

    Args:
      glow: in any dialect.
      target: the other one.
    """
    differing = {name: (there, here) for name, there, here in glow.dialect.differences(target)}
    unread = _unread(glow.dialect) or _unread(target)
    if unread and any(name in differing for name in NETWORK_RULES | CHANNEL_RULES):
        return _refused(differing, unread)
    working = _Working(glow, route_of(glow), glow.dialect)
    done: dict[str, Conversion] = {}
    pending = [name for name in _RULES if name in differing]
    while pending:
        failed: dict[str, Conversion] = {}
        for name in pending:
            there, here = differing[name]
            try:
                working, label, reason = working.with_answer(name, here)
                done[name] = Conversion(name, there, here, label, reason)
            except NotRepresentableError as error:
                failed[name] = Conversion(name, there, here, NOT_REPRESENTABLE, str(error))
        if len(failed) == len(pending):
            done |= failed
            break
        pending = list(failed)
    conversions = tuple(done[field.name] for field in fields(Dialect) if field.name in done)
    representable = all(c.label != NOT_REPRESENTABLE for c in conversions)
    return Converted(working.glow if representable else None, conversions)


# Mistakes that no route has: with one of them, nothing that concerns weights is converted.
_UNREAD = {
    "steps": ("all of them step 0's", "last one left out"),
    "joined": ("exchanged",),
    "sides": ("both, by one network",),
    "affine": ("s x + t / 10", "s x + (t + 2)", "s^2 x + t"),
    "exit_affine": ("s x + t / 10", "s x + (t + 2)", "s^2 x + t"),
    "activation": ("residual middle layer", "none after the second"),
}


def _unread(dialect: Dialect) -> str:
    """The question and the answer of a dialect that no route has, in words; "" if there is none."""
    return next((f"{name} is {getattr(dialect, name)!r}, which conversions do not know"
                 for name, answers in _UNREAD.items() if getattr(dialect, name) in answers), "")


def _refused(differing: dict[str, tuple[str, str]], reason: str) -> Converted:
    """Every field that concerns weights is not representable."""
    return Converted(None, tuple(
        Conversion(name, there, here, RE_INDEXED, "no weights change") if name in RESULT_RULES
        else Conversion(name, there, here, NOT_REPRESENTABLE, reason)
        for name, (there, here) in differing.items()))


@dataclass(frozen=True)
class _Working:
    """A Glow on its way: as it is written in a dialect, and what it does."""

    glow: DialectGlow
    route: Route
    dialect: Dialect

    def with_answer(self, name: str, answer: str) -> tuple[_Working, str, str]:
        """(with another answer to one question, the label, how)."""
        here = self.dialect.but(**{name: answer})
        outcome = _RULES[name](self.route, self.dialect, here)
        if name in RESULT_RULES:
            glow = replace(self.glow, dialect=here)
        else:
            glow = written(outcome.route, self.glow.structure, here)
        working = _Working(glow, outcome.route, here)
        before, after = self.glow.structure.steps, glow.structure.steps
        if before == after:
            return working, outcome.label, outcome.reason
        label = REPARAMETRISED if outcome.label == RE_INDEXED else outcome.label
        return working, label, f"{outcome.reason}; {_more_steps(before, after)}"


def _more_steps(before: tuple[int, ...], after: tuple[int, ...]) -> str:
    more = sorted({now - then for then, now in zip(before, after, strict=True)})
    if len(more) > 1:
        return f"the blocks' numbers of steps became {', '.join(map(str, after))}"
    steps = "one step was" if more == [1] else f"{more[0]} steps were"
    return f"{steps} added in every block"
