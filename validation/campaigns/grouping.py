"""Architectures that differ, by what explains them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from refglow.validation.campaigns.campaign import Json


def groups_of(results: Mapping[int, Json]) -> list[Json]:
    """The architectures that differ, those with one explanation together, the largest group first.

    Args:
      results: by number: "passed", "arguments", "parameters", "wrong", "failed", "diagnosis".

    Returns:
      for each group: "indices"; "smallest", the one with the fewest parameters; "answers", the
      conventions that explain it; "words", which say of the smallest what was found; "only_with",
      what all of them have of an architecture and none that agrees has.
    """
    by_key: dict[tuple[str, ...], list[int]] = {}
    for index, result in results.items():
        if not result["passed"]:
            by_key.setdefault(_key(result), []).append(index)
    agreeing = [result["arguments"] for result in results.values() if result["passed"]]
    groups = [_group(indices, results, agreeing) for indices in by_key.values()]
    return sorted(groups, key=lambda group: (-len(group["indices"]), group["indices"]))


def _group(indices: list[int], results: Mapping[int, Json], agreeing: Sequence[Json]) -> Json:
    smallest = min(indices, key=lambda index: (results[index]["parameters"], index))
    diagnosis = results[smallest]["diagnosis"]
    return {"indices": indices, "smallest": smallest,
            "answers": diagnosis["answers"] if diagnosis else {},
            "words": _words(results[smallest]),
            "only_with": _only_with([results[index]["arguments"] for index in indices], agreeing)}


def _key(result: Json) -> tuple[str, ...]:
    """Equal for the same explanations and the same failures, whatever numbers these name."""
    findings = result["diagnosis"]["findings"] if result["diagnosis"] else []
    said = {f"{question}={answer}" for finding in findings
            for question, answer in finding["explanation"].items()}
    said |= {f"unexplained: {finding['subject']}" for finding in findings
             if not finding["explanation"]}
    said |= {re.sub(r"\d+(\.\d+)?", "#", call["reason"]) for call in result["failed"]}
    return tuple(sorted(said or {"differs"}))


def _words(result: Json) -> list[str]:
    """What was found of one architecture: explanations, then what could not be compared."""
    findings = result["diagnosis"]["findings"] if result["diagnosis"] else []
    words = [finding["words"] for finding in findings]
    calls: dict[str, list[str]] = {}
    for call in result["failed"]:
        calls.setdefault(call["reason"], []).append(call["offering"])
    words += [f"{', '.join(dict.fromkeys(names))}: {reason}." for reason, names in calls.items()]
    if not words:
        words = [f"{dtype}: {', '.join(names)} differ." for dtype, names in result["wrong"].items()]
    if result["diagnosis"] and not result["diagnosis"]["complete"]:
        words.append("The time was over before everything was tried.")
    return words


def _only_with(group: Sequence[Json], agreeing: Sequence[Json]) -> Json:
    """Arguments that are one in the whole group, and that no agreeing architecture has."""
    features = [_features(arguments) for arguments in group]
    others = [_features(arguments) for arguments in agreeing]
    return {name: value for name, value in features[0].items()
            if others and all(one[name] == value for one in features)
            and not any(one[name] == value for one in others)}


def _features(arguments: Json) -> Json:
    """What may make a difference: arguments, without those that differ nearly always."""
    height, width, channels = arguments["output_shape"]
    rest = {name: value for name, value in arguments.items()
            if name not in ("output_shape", "num_hidden", "grab_after_block")}
    return rest | {"channels": channels, "square": height == width,
                   "exits": any(arguments["grab_after_block"]),
                   "last_exit": bool(arguments["grab_after_block"][-1])}
