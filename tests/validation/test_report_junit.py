"""JUnit XML, as another project's parser reads it."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped
from reports import HOSTILE, PADDING, REPORTS, found, report

from refglow.validation.report import report_of, write_junit


@pytest.fixture
def cases(tmp_path):
    """The test cases of a report, and the suites."""
    def read(one):
        write_junit(tmp_path / "report.xml", one)
        suites = JUnitXml.fromfile(str(tmp_path / "report.xml"))
        return [case for suite in suites for case in suite], suites
    return read


def results(case, kind):
    return [result for result in case.result if isinstance(result, kind)]


@pytest.mark.parametrize("name", REPORTS)
def test_counts_and_time_are_right(cases, name):
    one = REPORTS[name]()
    found, suites = cases(one)
    [suite] = suites
    for counted in (suites, suite):
        assert counted.tests == len(found)
        assert counted.failures == sum(bool(results(case, Failure)) for case in found)
        assert counted.errors == sum(bool(results(case, Error)) for case in found)
        assert counted.skipped == sum(bool(results(case, Skipped)) for case in found)
        assert counted.time == one.seconds
    assert one.passed == (suites.failures == suites.errors == 0)
    assert all(len(case.result) <= 1 for case in found)


def test_every_comparison_is_a_test_case(cases):
    one = report(PADDING)
    found, _ = cases(one)
    by_name = {}
    for case in found:
        by_name.setdefault((case.classname, case.name), []).append(case)
    for each in one.types:
        for row in each.found.rows:
            case = by_name[(f"{row.dtype}.{row.bijector}", row.prop)].pop()
            failures = results(case, Failure)
            assert bool(failures) == (not row.passed)
            for failure in failures:
                assert failure.message == (f"error {row.relative:.2e}, tolerance "
                                           f"{row.tolerance:.2e}")
                assert row.reason in failure.text
    left = [case for some in by_name.values() for case in some]
    assert left and all(results(case, Skipped) for case in left)


def test_what_fails_is_an_error_and_what_is_left_out_skipped(cases):
    one = report("failing")
    found, _ = cases(one)
    errors = {case.classname: results(case, Error)[0] for case in found if results(case, Error)}
    assert errors["float64.gradients"].message.startswith("returned None")
    assert "ValueError" in errors["float32.inverse"].message
    skipped = [case.name for case in found if results(case, Skipped)]
    for each in one.types:
        assert set(each.found.skipped) <= set(skipped)


def test_no_two_test_cases_have_one_name(cases):
    several = replace(found("failing")[0], failed=found("failing")[0].failed * 3)
    names = [(case.classname, case.name) for case in cases(report_of([several]))[0]]
    assert len(set(names)) == len(names)
    assert ("float64.inverse", "inverse gives arrays (3)") in names


def test_a_library_that_is_more_accurate_is_a_failure(cases):
    found, _ = cases(REPORTS["live"]())
    [failure] = [results(case, Failure)[0] for case in found if results(case, Failure)]
    assert "largest 2.500" in failure.message


def test_the_diagnosis_is_told(cases, tmp_path):
    cases(report(PADDING))
    assert 'yours is "edge"' in ET.parse(tmp_path / "report.xml").findtext("testsuite/system-out")


def test_text_of_strangers_is_text(cases, tmp_path):
    found, _ = cases(REPORTS["hostile"]())
    shown = re.sub("[\x00\x1b\x07\ud800]", "", HOSTILE)
    [error] = [results(case, Error)[0] for case in found if results(case, Error)
               and case.classname == f"float64.{shown}"]
    assert (error.message, error.text) == (shown, shown)
    assert {element.tag for element in ET.parse(tmp_path / "report.xml").iter()} == {
        "testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out"} - {
            "failure"}
