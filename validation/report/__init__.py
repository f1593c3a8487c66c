"""Reports of comparisons: one record, written as JSON, as JUnit XML and as one HTML page.

    report = report_of([conformance(glow, implementation, images)])
    write_html("report.html", report)
    write_junit("report.xml", report)
    write_json("report.json", report)          # report.schema.json, beside this file, describes it

The page holds all it needs: it loads nothing, runs no scripts, and can be attached to anything.
"""

from refglow.validation.diagnosis.of_conformance import to_diagnose as to_diagnose
from refglow.validation.report.html import write_html as write_html
from refglow.validation.report.json_file import report_schema as report_schema
from refglow.validation.report.json_file import write_json as write_json
from refglow.validation.report.junit import write_junit as write_junit
from refglow.validation.report.making import report_of as report_of
from refglow.validation.report.record import Report as Report
