"""What to read first: a few sentences that answer what somebody with an implementation asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refglow.validation.diagnosis.finding import Diagnosis
from refglow.validation.diagnosis.of_conformance import explanation_of, to_diagnose
from refglow.validation.implementations import Conformance
from refglow.validation.implementations.digits import allowed_digits
from refglow.validation.implementations.own_consistency import OWN
from refglow.validation.implementations.report import of_layer
from refglow.validation.report.figures import Digits, of_tolerance
from refglow.validation.row import Row, worst_first
from refglow.validation.table import ratios_pass
from refglow.validation.vectors.judging import Judged


@dataclass(frozen=True)
class Summary:
    """Answers, each a few sentences; none to what a comparison does not tell.

    Attributes:
      verdict: whether it agrees.
      digits: to how many digits.
      first_difference: the first layer that differs.
      explanation: what explains the differences.
      weights: how many digits the weights allow.
      not_compared: what was left out.
    """

    verdict: str
    digits: tuple[str, ...] = ()
    first_difference: tuple[str, ...] = ()
    explanation: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"verdict": self.verdict, "digits": list(self.digits),
                "first_difference": list(self.first_difference),
                "explanation": list(self.explanation), "weights": list(self.weights),
                "not_compared": list(self.not_compared)}


def summary_of(found: Sequence[Conformance], diagnosis: Diagnosis | None) -> Summary:
    """Of an implementation.

    Args:
      found: in each number type.
      diagnosis: of the first that differs.
    """
    return Summary(
        _verdict(found), tuple(_digits(one) for one in found if one.rows),
        tuple(_first_difference(one) for one in found if one.rows),
        _explanation(found, diagnosis), tuple(_weights(one) for one in found),
        tuple(dict.fromkeys(text for one in found for text in _not_compared(one))))


def _verdict(found: Sequence[Conformance]) -> str:
    arrays = sum(len(one.rows) for one in found)
    wrong = sum(not row.passed for one in found for row in one.rows)
    failed = sum(len(one.failed) for one in found)
    types = " and ".join(one.dtype for one in found)
    if all(one.passed for one in found):
        return f"Everything that was compared agrees: {arrays} arrays, in {types}."
    could = f"{failed} calls or results could not be compared"
    if not arrays:
        return f"Nothing could be compared, in {types}: {could}."
    if not wrong:
        return f"{could}, in {types}; the {arrays} arrays that were compared agree."
    return f"{wrong} of {arrays} arrays differ, in {types}{f'; {could}' if failed else ''}."


def _digits(one: Conformance) -> str:
    """To how many digits all results of the flow agree."""
    rows = [row for row in one.rows if row.bijector != OWN] or list(one.rows)
    return _fewest(one.dtype, rows)


def _fewest(dtype: str, rows: Sequence[Row]) -> str:
    """The fewest digits of some results in a number type, and the largest share of a tolerance."""
    least, worst = max(rows, key=lambda row: row.relative), max(rows, key=worst_first)
    return (f"{dtype}: {Digits.of(least).agree:.1f} digits or more in all {len(rows)} results, the "
            f"fewest in {_name(least)}. The largest error is "
            f"{of_tolerance(worst.severity)}, in {_name(worst)}.")


def _by_type(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(_fewest(dtype, [row for row in rows if row.dtype == dtype])
                 for dtype in dict.fromkeys(row.dtype for row in rows))


def _name(row: Row) -> str:
    return row.prop if row.prop == row.bijector else f"{row.bijector}, {row.prop}"


def _first_difference(one: Conformance) -> str:
    name = one.first_wrong_layer
    if not one.layers:
        return f"{one.dtype}: no layers were given, so none can be named."
    if name is None:
        return f"{one.dtype}: none of {len(one.layers)} layers."
    place = [layer.name for layer in one.layers].index(name) + 1
    return (f"{one.dtype}: {name}, number {place} of {len(one.layers)} from the image: "
            f"{of_layer(one, name)}.")


def _explanation(found: Sequence[Conformance], diagnosis: Diagnosis | None) -> tuple[str, ...]:
    one = to_diagnose(found)
    if diagnosis is None or one is None:
        if all(one.passed for one in found):
            return ("There is nothing to explain.",)
        return ("It was not looked for." if any(one.raw for one in found) else
                "There is no result to look at.",)
    return tuple(explanation_of(one, diagnosis))


def _weights(one: Conformance) -> str:
    """The digits that are left of the number type's at the condition of each direction."""
    said = []
    for name, way in (("inverse", "to the latents"), ("forward", "to the images")):
        kappa = one.reference.conditions[name]
        said.append(f"{allowed_digits(kappa, one.dtype):.1f} on the way {way} (roundings grow "
                    f"{kappa:,.0f}-fold)")
    return f"{one.dtype}: of {allowed_digits(1.0, one.dtype):.1f} digits, {' and '.join(said)}."


def _not_compared(one: Conformance) -> list[str]:
    said = [f"Not offered: {', '.join(one.absent)}."] if one.absent else []
    return said + [f"{text}." for text in one.skipped]


def summary_of_rows(sections: Mapping[str, Sequence[Row]], ratios: Mapping[str, Sequence[float]],
                    against: str) -> Summary:
    """Of a comparison of refglow with TFP."""
    rows = [row for section in sections.values() for row in section]
    wrong = sum(not row.passed for row in rows)
    comparisons = sum(row.count for row in rows)
    coarse = [prop for prop, values in ratios.items() if not ratios_pass(list(values))]
    verdict = (f"{wrong} of {len(rows)} rows differ from {against}." if wrong else
               f"All agree: {comparisons} comparisons with {against}.")
    if coarse:
        verdict += f" In float32, refglow is less accurate than TFP in {', '.join(coarse)}."
    return Summary(verdict, _by_type(rows))


def summary_of_vectors(found: Sequence[Judged], suspects: Mapping[str, str]) -> Summary:
    """Of a program's results.

    Args:
      found: each vector.
      suspects: mistakes that only failed vectors catch, in words, by name.
    """
    wrong = sum(not one.passed for one in found)
    rows = [row for one in found for row in one.rows]
    verdict = (f"{wrong} of {len(found)} vectors are not right." if wrong else
               f"All right: {len(found)} vectors, {len(rows)} results.")
    left_out = {"too ill-conditioned to judge in their number type":
                sum(len(one.undecidable) for one in found),
                "not given": sum(len(one.absent) for one in found)}
    return Summary(
        verdict, _by_type(rows),
        explanation=tuple(f"{name}: {text}" for name, text in suspects.items()) or (
            ("Each mistake that failed vectors catch is caught by others that are right.",)
            if wrong else ()),
        not_compared=tuple(f"{count} results are {what}." for what, count in left_out.items()
                           if count))
