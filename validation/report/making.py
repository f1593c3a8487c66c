"""Reports of what each kind of comparison found."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

import refglow
from refglow.validation.diagnosis.finding import Diagnosis
from refglow.validation.diagnosis.of_conformance import to_diagnose
from refglow.validation.diagnosis.words import as_dict
from refglow.validation.implementations import Conformance
from refglow.validation.report.arrays import arrays_of
from refglow.validation.report.groups import groups_of
from refglow.validation.report.layers import layers_of
from refglow.validation.report.record import (
    GOLDEN,
    IMPLEMENTATION,
    LIVE,
    RESULTS,
    Report,
    Setting,
    TypeReport,
)
from refglow.validation.report.summary import (
    summary_of,
    summary_of_rows,
    summary_of_vectors,
)
from refglow.validation.row import Row
from refglow.validation.table import ratios_pass
from refglow.validation.vectors.flags import FLAGS
from refglow.validation.vectors.judging import Judged, only_failed_catch


def report_of(found: Sequence[Conformance], diagnosis: Diagnosis | None = None,
              seconds: float = 0.0, settings: Mapping[str, Setting] | None = None) -> Report:
    """The report of an implementation.

    Args:
      found: what `conformance` found, in each number type.
      diagnosis: of `to_diagnose(found)`.
      seconds: that the comparison took.
      settings: what else to tell of it: "implementation", "model", "images", "seed".

    Raises:
      ValueError: if nothing was found, or one number type is there twice.
    """
    dtypes = [one.dtype for one in found]
    if not dtypes or len(set(dtypes)) < len(dtypes):
        raise ValueError("Expected the comparison in one number type, or one in each; got "
                         f"{', '.join(dtypes) or 'none'}.")
    diagnosed = to_diagnose(found)
    explained = None if diagnosis is None or diagnosed is None else {
        "dtype": diagnosed.dtype, **as_dict(diagnosis)}
    return Report(
        IMPLEMENTATION, "refglow (specification)", all(one.passed for one in found), seconds,
        summary_of(found, diagnosis), _made_with(),
        {"implementation": None, "model": None, "images": len(found[0].reference.x),
         "seed": None, **(settings or {})},
        tuple(TypeReport(one, groups_of(one), layers_of(one), arrays_of(one)) for one in found),
        explained)


def report_of_golden(sections: Mapping[str, Sequence[Row]], against: str,
                     seconds: float) -> Report:
    """The report of a comparison with golden files.

    Args:
      sections: rows by title.
      against: whose results they are.
      seconds: that it took.
    """
    return Report(GOLDEN, against, _all_pass(sections), seconds,
                  summary_of_rows(sections, {}, against), _made_with(),
                  sections=_as_tuples(sections))


def report_of_live(sections: Mapping[str, Sequence[Row]], ratios: Mapping[str, Sequence[float]],
                   against: str, seconds: float, settings: Mapping[str, Setting]) -> Report:
    """The report of a comparison with an installed library.

    Args:
      sections, against, seconds: as for `report_of_golden`.
      ratios: by property, refglow's float32 error over the library's in each configuration.
      settings: "configs" and "seed".
    """
    passed = _all_pass(sections) and all(ratios_pass(list(each)) for each in ratios.values())
    return Report(LIVE, against, passed, seconds, summary_of_rows(sections, ratios, against),
                  _made_with(), settings, sections=_as_tuples(sections),
                  float32_error_ratio={prop: tuple(each) for prop, each in ratios.items()})


def report_of_vectors(found: Sequence[Judged], seconds: float) -> Report:
    """The report of a program's results for golden vectors.

    Args:
      found: each vector.
      seconds: that it took.
    """
    suspects = only_failed_catch(list(found))
    return Report(
        RESULTS, "certified golden vectors", all(one.passed for one in found), seconds,
        summary_of_vectors(found, {name: FLAGS[name].bug for name in suspects}), _made_with(),
        vectors=tuple(found), suspects=suspects)


def _all_pass(sections: Mapping[str, Sequence[Row]]) -> bool:
    return all(row.passed for rows in sections.values() for row in rows)


def _as_tuples(sections: Mapping[str, Sequence[Row]]) -> dict[str, tuple[Row, ...]]:
    return {title: tuple(rows) for title, rows in sections.items()}


def _made_with() -> dict[str, str]:
    return {"refglow": refglow.__version__, "numpy": np.__version__,
            "python": platform.python_version(),
            "at": datetime.now(UTC).isoformat(timespec="seconds")}
