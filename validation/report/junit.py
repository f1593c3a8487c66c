"""A report as JUnit XML, which CI systems show: a test case for each comparison.

classname is the number type and what was called (or the bijector, or the vector), name the result.
What differs is a failure, a call that gave nothing to compare an error, what was left out skipped.
Times of single comparisons are not known; the suite's is that of the whole comparison.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from statistics import median
from xml.etree import ElementTree as ET

from refglow.atomic_file import write_atomically
from refglow.validation.implementations import Conformance
from refglow.validation.report.record import Report
from refglow.validation.row import Row
from refglow.validation.table import ratios_pass
from refglow.validation.vectors.judging import Judged

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as JUnit XML, atomically.

    Args:
      path: of the file.
      report: what was found.

    Raises:
      OSError: if the file cannot be written.
    """
    write_atomically(Path(path), junit_xml(report))


def junit_xml(report: Report) -> bytes:
    """The file's bytes, UTF-8."""
    suite = ET.Element("testsuite", name=f"refglow validate: {report.kind}",
                       timestamp=report.made_with["at"])
    for one in report.types:
        _of_conformance(suite, one.found)
    for title, rows in report.sections.items():
        for row in rows:
            _row(suite, row, f"{title}, {row.bijector}")
    for prop, ratios in report.float32_error_ratio.items():
        case = _case(suite, "float32.error over that of TFP", prop)
        if not ratios_pass(list(ratios)):
            _note(case, "failure", f"median {median(ratios):.3f} (at most 1), largest "
                  f"{max(ratios):.3f} (at most 2)", "LessAccurate")
    for vector in report.vectors:
        _of_vector(suite, vector)
    _tell_namesakes_apart(suite)
    ET.SubElement(suite, "system-out").text = _plain("\n\n".join(_said(report)))
    root = ET.Element("testsuites", name="refglow")
    for element in (root, suite):
        _count(element, suite, report.seconds)
    root.append(suite)
    ET.indent(root)
    content: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _of_conformance(suite: ET.Element, found: Conformance) -> None:
    for row in found.rows:
        _row(suite, row, row.bijector)
    for call in found.failed:
        case = _case(suite, f"{found.dtype}.{call.offering}", f"{call.offering} gives arrays")
        _note(case, "error", call.reason, "CallFailed", call.output)
    for name in found.absent:
        _note(_case(suite, f"{found.dtype}.{name}", name), "skipped", "not offered")
    for text in found.skipped:
        _note(_case(suite, f"{found.dtype}.not compared", text), "skipped", text)


def _of_vector(suite: ET.Element, vector: Judged) -> None:
    for row in vector.rows:
        _row(suite, row, vector.name)
    for problem in vector.problems:
        _note(_case(suite, vector.name, problem), "error", problem, "NotComparable",
              f"The vector catches {', '.join(vector.flags)}." if vector.flags else "")
    for names, why in ((vector.undecidable, "too ill-conditioned to judge in its number type"),
                       (vector.absent, "not given")):
        for name in names:
            _note(_case(suite, vector.name, name), "skipped", why)


def _row(suite: ET.Element, row: Row, group: str) -> None:
    case = _case(suite, f"{row.dtype}.{group}", row.prop)
    if not row.passed:
        _note(case, "failure", f"error {row.relative:.2e}, tolerance {row.tolerance:.2e}",
              "Differs", f"{row.ulps:.3g} ulps of {row.dtype}. Tolerance: "
              f"{row.reason}; condition: {row.condition:.3g}.")


def _case(suite: ET.Element, group: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=_plain(group), name=_plain(name))


def _tell_namesakes_apart(suite: ET.Element) -> None:
    """Number test cases of one name, of which some CI systems would show only the last."""
    seen: dict[tuple[str, str], int] = {}
    for case in suite.findall("testcase"):
        key = case.attrib["classname"], case.attrib["name"]
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            case.set("name", f"{key[1]} ({seen[key]})")


def _note(case: ET.Element, kind: str, message: str, category: str = "", text: str = "") -> None:
    note = ET.SubElement(case, kind, message=_plain(message))
    if category:
        note.set("type", category)
    if text:
        note.text = _plain(text)


def _count(element: ET.Element, suite: ET.Element, seconds: float) -> None:
    element.set("tests", str(len(suite.findall("testcase"))))
    for attribute, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(len(suite.findall(f"testcase/{kind}"))))
    element.set("time", f"{seconds:.3f}")


def _said(report: Report) -> list[str]:
    summary = report.summary
    return [summary.verdict, *summary.digits, *summary.first_difference, *summary.explanation,
            *summary.weights]


def _plain(text: str) -> str:
    """The text without the characters that XML has no way to write."""
    return _FORBIDDEN.sub("", text)
