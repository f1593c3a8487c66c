"""A diagnosis in words: what yours does, what refglow does, who does as yours, and the evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping

from refglow.validation.diagnosis.finding import Diagnosis, Finding
from refglow.validation.dialects.dialect import FIELDS, Dialect
from refglow.validation.dialects.known import KNOWN

_QUESTIONS = {"precision": "the precision of weights and arithmetic",
              "gradient": "the gradient of the mean of log p",
              "temperature": "what latents are multiplied by on the way to the image",
              "memory": "what is in a layer's output once the next layers have run"}
_RIGHT = {"precision": "that of the number type given", "gradient": "the mean's",
          "temperature": "1", "memory": "as it was given"}
_PLURALS = ("latents", "gradients", "bits_per_dim")
_OF_ALL_LAYERS = ("latents", "log-det")
_MOST_OTHERS = 3
_MOST_PLACES = 4


def in_words(diagnosis: Diagnosis) -> list[str]:
    """A paragraph for each finding; one that says so if there are none."""
    if diagnosis.agrees and diagnosis.complete and not diagnosis.compared:
        return ["There is nothing to look at: neither latents, images or outputs of layers nor "
                "log-dets, densities or gradients of the whole flow were given, of the right shape "
                "and finite."]
    if diagnosis.agrees and not diagnosis.complete:
        looked_at = ", ".join(diagnosis.compared) or "nothing"
        return [f"The time was over before everything was compared: what was reached, {looked_at}, "
                "agrees to rounding; of the rest nothing is known."]
    if diagnosis.agrees:
        return [f"Nothing differs: {', '.join(diagnosis.compared)} agree to rounding."]
    said = [sentence(finding) for finding in diagnosis.findings]
    if "layers" not in diagnosis.compared and any(
            finding.subject in _OF_ALL_LAYERS and not finding.is_explained
            and finding.of_seen_values for finding in diagnosis.findings):
        said.append("Outputs of layers were not given. They tell in which layer it begins, and "
                    "each is looked at alone.")
    return said if diagnosis.complete else [
        *said, "The time was over before every convention and pair was tried: what is called "
        "unexplained above may have an explanation, and what comes after it may differ too."]


def sentence(finding: Finding) -> str:
    """One finding in words."""
    verb, its = (("differ", "their") if finding.subject in _PLURALS else ("differs", "its"))
    differs = (f"{finding.where}: {finding.subject} {verb} by {finding.error_before:.1e} of {its} "
               f"size{_at_places(finding)}")
    if not finding.is_explained and not finding.of_seen_values:
        return (f"{differs}, and no mistake made in it alone gives these numbers. What layers do "
                "was not tried: it shows in the latents and in the outputs of layers. Give one of "
                "them, and it is.")
    if not finding.is_explained:
        link = ". No" if finding.only else ", and no"
        return f"{differs}{link} convention or mistake that refglow knows gives these numbers."
    said = "; ".join(_answer(question, answer)
                     for question, answer in finding.explanation.items())
    evidence = _evidence(finding)
    others = [" and ".join(f"{question} = {answer}" for question, answer in other.items())
              for other in finding.others[:_MOST_OTHERS]]
    also = f" The same numbers come from: {', or '.join(others)}." if others else ""
    where = f" That is so{_at_places(finding)}." if finding.only else ""
    return f"{finding.where}: {said}.{where}{evidence}{also}"


def _at_places(finding: Finding) -> str:
    """Which places differ, where others of the kind agree."""
    if not finding.only:
        return ""
    if len(finding.only) == finding.out_of:
        return " in the log-dets of this kind of layer only"
    more = len(finding.only) - _MOST_PLACES
    names = ", ".join(finding.only[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")
    return (f" at {len(finding.only)} of {finding.out_of} such places ({names}); the "
            f"{'other agrees' if finding.out_of - len(finding.only) == 1 else 'others agree'}")


def _answer(question: str, answer: str) -> str:
    asked = FIELDS[question].question if question in FIELDS else _QUESTIONS[question]
    right = getattr(Dialect(), question) if question in FIELDS else _RIGHT[question]
    projects = [known.title.replace(", ", " ") for known in KNOWN.values()
                if question in FIELDS and getattr(known.dialect, question) == answer]
    as_in = f" (as in {', '.join(projects)})" if projects else ""
    return f"{asked}: yours is \"{answer}\"{as_in}, refglow's and TFP's is \"{right}\""


def _evidence(finding: Finding) -> str:
    """What agrees with the explanation, and how badly it did without."""
    if math.isnan(finding.error_before):  # seen without a number
        return ""
    if "precision" in finding.explanation:  # what it rounds to, not each rounding, is known
        return (f" The errors, up to {finding.error_before:.0e}, are those that roundings to that "
                "type make.")
    all_of_them = "they agree" if finding.only else f"all {finding.explained} such places agree"
    places = all_of_them if finding.explained > 1 else "it agrees"
    return (f" With that read as yours, {places} to {finding.error_after:.0e}; "
            f"without, it differs by {finding.error_before:.0e}.")


def as_dict(diagnosis: Diagnosis) -> dict[str, object]:
    """For JSON.

    Returns:
      agrees         whether nothing differs
      complete       whether everything was tried; if not, the time was over
      compared       names of what was looked at, of "latents", "layers", "inverse_log_det",
                     "log_prob", "bits_per_dim", "started", "forward_images", "forward_log_det",
                     "gradients"
      answers        {question: answer}, all explanations as one, but for those that hold at some
                     places only; questions are those of a dialect
                     (`dialects.FIELDS`), "precision", "gradient", "temperature" and "memory"
      findings       a list, in the order from image to density, of
        subject        what differs: a kind of layer, "latents", "log-det", "log_prob", ...
        where          the first place that differs
        explanation    {question: answer} that gives the same numbers; empty if nothing does
        others         a list of other such explanations
        error_before   the largest relative error without it; null where it is no number
        error_after    the largest with it; null where there is no explanation, or it is a
                     narrower number type, whose roundings are not all known
        places         at how many places it was tried
        only           the names of the places that differ, if others of their kind agree
        words          all this as a sentence
    """
    return {"agrees": diagnosis.agrees, "complete": diagnosis.complete,
            "compared": list(diagnosis.compared), "answers": diagnosis.answers,
            "findings": [_finding_as_dict(finding) for finding in diagnosis.findings]}


def _finding_as_dict(finding: Finding) -> Mapping[str, object]:
    return {"subject": finding.subject, "where": finding.where,
            "explanation": dict(finding.explanation),
            "others": [dict(other) for other in finding.others],
            "error_before": _number(finding.error_before),
            "error_after": _number(finding.error_after), "places": finding.explained,
            "only": list(finding.only),
            "words": sentence(finding)}


def _number(value: float) -> float | None:
    """JSON has no NaN or infinity."""
    return value if abs(value) < float("inf") else None
