"""Judging what a program in another language computed for golden vectors.

The program writes FOLDER/results/VECTOR.safetensors, with the results that it has under their names
in `results.py` ("forward/value", "forward/log_det", "inverse/vjp/input_bar", ...), in float32 or
float64. What it lacks is not held against it. Each array passes if it is as near to the truth as an
implementation in its number type can be asked to be (conditions.py); of operations that map numbers
one by one, each number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.safetensors_file import open_safetensors
from refglow.validation.golden import DTYPES
from refglow.validation.row import Row, compared, compared_by_element
from refglow.validation.strangers.text import one_line, shown
from refglow.validation.tolerances import LARGEST_USEFUL
from refglow.validation.vectors.catalogue import BY_NAME
from refglow.validation.vectors.conditions import layers_of_vector, rule_of
from refglow.validation.vectors.flags import FLAGS
from refglow.validation.vectors.kept import KeptVectors
from refglow.validation.vectors.operations import OPERATIONS
from refglow.validation.vectors.sampling import Sample, samples_of
from refglow.validation.vectors.vector import Vector

Judge = Callable[[str, Array, Array], Row | None]


@dataclass(frozen=True)
class Judged:
    """What was found about one vector.

    Attributes:
      name: the vector's, or that of a file that is none's.
      rows: one for each result that could be compared.
      undecidable: results that roundings of the inputs move by a tenth or more: nothing that is
        found there would say anything.
      problems: what could not be compared, and why.
      absent: the names of results that were not given.
      flags: mistakes that the vector catches.
    """

    name: str
    rows: tuple[Row, ...] = ()
    undecidable: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all that was given is right."""
        return not self.problems and all(row.passed for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passed": self.passed, "results": {row.prop: row.as_dict() for row in self.rows},
                "undecidable": list(self.undecidable), "problems": list(self.problems),
                "absent": list(self.absent), "flags": list(self.flags)}


def result_files(folder: Path) -> list[Path]:
    """The files that a program wrote.

    Raises:
      ValueError: if there are none; says where they should be.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    files = sorted((folder / "results").glob("*.safetensors"))
    if not files:
        raise ValueError(f"{folder} holds no results: there is no file results/VECTOR.safetensors "
                         "in it. The names of the arrays in such a file are told in the README.md "
                         "that refglow vectors export writes.")
    return files


def judged(files: list[Path], kept: KeptVectors) -> Iterator[Judged]:
    """Each file, compared with the truth; a file that cannot be read does not stop the others.

    Args:
      files: as `result_files` gives them.
      kept: the package's vectors.
    """
    for path in files:
        vector = BY_NAME.get(path.stem)
        if vector is None:
            yield Judged(shown(path.stem), problems=(
                f"{shown(path.name)}: there is no vector of this name.",))
            continue
        try:
            with open_safetensors(path) as file:
                yield _judged(vector, {name: file.array(name) if kind.dtype in DTYPES else
                                       kind.dtype for name, kind in file.kinds.items()}, kept)
        except (OSError, ValueError) as error:
            yield Judged(vector.name, problems=(one_line(str(error)),), flags=vector.flags)


def _judged(vector: Vector, given: dict[str, Array | str], kept: KeptVectors) -> Judged:
    truth = kept.results(vector).values
    judge, samples = judge_of(vector, kept), samples_of(vector, truth)
    rows, undecidable, problems = [], [], []
    for name, array in given.items():
        try:
            compared_numbers = _to_compare(name, array, truth, samples)
        except ValueError as problem:
            problems.append(one_line(str(problem)))
            continue
        row = judge(name, compared_numbers, truth[name]["float64"])
        if row is None:
            undecidable.append(name)
        else:
            rows.append(row)
    absent = tuple(sorted(truth.keys() - given.keys()))
    return Judged(vector.name, tuple(rows), tuple(undecidable), tuple(problems), absent,
                  vector.flags)


def judge_of(vector: Vector, kept: KeptVectors) -> Judge:
    """What compares a result with the truth: (its name, given, true) -> the row.

    None where roundings of the inputs move the result by a tenth or more.

    Args:
      vector: which.
      kept: the package's vectors.
    """
    conditions, layers = kept.conditions(vector), layers_of_vector(vector)

    def by_element(name: str, array: Array, expected: Array) -> Row | None:
        return compared_by_element(
            vector.name, name, array, expected,
            lambda kappa: rule_of(vector, name)(array.dtype, layers, kappa),
            np.broadcast_to(conditions[name], expected.shape))

    def whole(name: str, array: Array, expected: Array) -> Row | None:
        kappa = float(conditions[name])
        limit = rule_of(vector, name)(array.dtype, layers, kappa)
        if limit.relative >= LARGEST_USEFUL and np.isfinite(array).all():
            return None
        return compared(vector.name, name, array.dtype, array, expected, limit, kappa)
    return by_element if OPERATIONS[vector.operation].by_element else whole


def _to_compare(name: str, array: Array | str, truth: dict[str, dict[str, Array]],
                samples: dict[str, Sample]) -> Array:
    """The numbers of a given result that are kept: all, or some.

    Raises:
      ValueError: why it cannot be compared.
    """
    if name not in truth:
        raise ValueError(f"{name} is no result of this vector.")
    if isinstance(array, str):
        raise ValueError(f"{name} is {array}; it can be {' or '.join(DTYPES)}.")
    if name in samples:
        try:
            return samples[name].of(array)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    expected = truth[name]["float64"].shape
    if array.shape != expected:
        raise ValueError(f"{name} has shape {list(array.shape)}; it must have {list(expected)}.")
    return array


def only_failed_catch(found: list[Judged]) -> dict[str, int]:
    """The mistakes that no vector with right results catches, and how many failed ones do.

    Where to look first: what catches such a mistake failed, wherever it was judged. One that
    changes values is not made where values are right. The one caught most often comes first.
    """
    judged_ones = [one for one in found if one.rows]
    right = {flag for one in judged_ones for flag in one.flags
             if one.passed or not _may_show(one, FLAGS[flag].shows_in)}
    counts = Counter(flag for one in judged_ones if not one.passed for flag in one.flags
                     if flag not in right)
    return dict(counts.most_common())


def _may_show(one: Judged, kind: str) -> bool:
    """Whether a mistake that shows in this kind of result may be made in what was given."""
    rows = [row.passed for row in one.rows if _kind(row.prop) == kind]
    return not kind or not all(rows) or (not rows and kind != "derivative")


def _kind(result: str) -> str:
    """"value", "log_det" or "derivative", of a result's name."""
    _, _, what = result.partition("/")
    if "jvp" in what or "vjp" in what:
        return "derivative"
    return what if what == "log_det" else "value"
