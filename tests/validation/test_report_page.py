"""The HTML page in a browser: it loads nothing, fits, can be read, shows the JSON's numbers."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product

import pytest
from browser import LEAST_CONTRAST, SCHEMES, WIDTHS, opened
from reports import HOSTILE, PADDING, REPORTS, report

from refglow.validation.report import report_of, write_html
from refglow.validation.report.html import amount, html_page, number, visible


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The path of each report's page."""
    folder = tmp_path_factory.mktemp("pages")
    for name, make in REPORTS.items():
        write_html(folder / f"{name}.html", make())
    return {name: folder / f"{name}.html" for name in REPORTS}


# ---- without a browser -----------------------------------------------------------------------


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes = set(), set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= set(attrs)


@pytest.mark.parametrize("name", REPORTS)
def test_a_page_needs_nothing_else(name):
    page = html_page(REPORTS[name]())
    tags = Tags()
    tags.feed(page)
    assert not tags.names & {"script", "img", "iframe", "object", "embed", "form", "base", "video"}
    assert {value[:1] for key, value in tags.attributes if key == "href"} <= {"#", "d"}
    assert not {key for key, _ in tags.attributes if key.startswith("on") or key == "src"}
    [(_, policy)] = [pair for pair in tags.attributes if pair[0] == "content"
                     and "default-src" in pair[1]]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not re.search(r"url\(|@import", page.split("</style>")[0])


def test_what_is_not_seen_is_shown_by_its_code_point():
    assert visible("a\u202eb\x1b\x00\u200b\ud800") == r"a\u202eb\u001b\u0000\u200b\ud800"
    assert visible("words, \t tabs\nand ∂ umlauts: ü") == "words, \t tabs\nand ∂ umlauts: ü"
    assert visible(3.5) == 3.5 and len(visible("x" * 100_000)) < 5000


def test_numbers_in_words():
    assert [number(value) for value in (0.0, 1.25e-13, math.nan, None)] == [
        "0", "1.2e-13", "not finite", ""]
    assert [amount(value) for value in (0.123456, 1540.4, 2.345e9, math.inf)] == [
        "0.123", "1540", "2.34e+09", "not finite"]


def test_a_page_of_a_failed_import_is_short_and_says_so():
    one = report("failing")
    failed = [replace(each.found, rows=(), layers=(), raw={}, failed=each.found.failed[:1])
              for each in one.types]
    page = html_page(report_of(failed))
    assert "Nothing could be compared" in page and "Error by layer" not in page
    assert "There is no result to look at." in page


def large():
    """A report as long as that of 3 blocks of 8 steps, in both types."""
    one = report(PADDING)
    types = []
    for each in one.types:
        layers, rows = (each.layers * 6)[:78], (each.found.rows * 6)[:600]
        types.append(replace(each, layers=layers, found=replace(each.found, rows=rows)))
    return replace(one, types=tuple(types))


def test_a_page_of_a_large_model_is_not_large():
    assert len(html_page(large())) < 1_000_000


# ---- in a browser ----------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("name", REPORTS)
def test_a_page_is_quiet_fits_and_can_be_read(browser, pages, name):
    with opened(browser, pages[name]) as found:
        for width, scheme, unfolded in product(WIDTHS, SCHEMES, (False, True)):
            found.look(scheme, width, unfolded)
            assert found.overflow() <= 0
            assert found.page.evaluate("[...document.querySelectorAll('.scroll:has(.stack)')].every"
                                       "(e => e.scrollWidth <= e.clientWidth)")
            background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
            levels = [int(level) for level in re.findall(r"\d+", background)]
            assert (min(levels) > 200) if scheme == "light" else (max(levels) < 60)
            texts = found.contrasts() if unfolded else []
            assert len(texts) > 40 or not unfolded
            assert [(round(ratio, 2), text) for ratio, text in texts
                    if ratio < LEAST_CONTRAST] == []
        assert (found.said, found.requested) == ([], [])


@pytest.mark.browser
def test_a_page_of_four_hundred_layers_is_drawn_whole(browser, tmp_path):
    one = report(PADDING)
    longer = replace(one, types=tuple(replace(each, layers=each.layers * 27)
                                      for each in one.types))
    write_html(tmp_path / "long.html", longer)
    with opened(browser, tmp_path / "long.html") as found:
        assert found.said == []  # a path that is cut short is an error there
        width = found.page.evaluate("Math.max(...[...document.querySelectorAll('.strip path.way')]"
                                    ".map(p => { const b = p.getBBox(); return b.x + b.width; }))")
        assert width == pytest.approx(1000, abs=1)


@pytest.mark.browser
def test_printed_it_fits_on_the_sheet(browser, pages):
    with opened(browser, pages["wrong"]) as found:
        found.unfold()
        found.page.emulate_media(media="print")
        found.page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins
        assert found.overflow() <= 0


@pytest.mark.browser
@pytest.mark.parametrize("name", REPORTS)
def test_headings_are_in_order_and_names_unique(browser, pages, name):
    with opened(browser, pages[name]) as found:
        found.assert_outlined()
        told = found.page.evaluate("[...document.querySelectorAll('[aria-labelledby]')].every("
                                   "e => document.getElementById(e.ariaLabelledBy ?? "
                                   "e.getAttribute('aria-labelledby')))")
        assert told


@pytest.mark.browser
def test_text_of_strangers_is_shown_as_text(browser, pages):
    with opened(browser, pages["hostile"]) as found:
        found.unfold()
        assert found.said == [] and found.page.evaluate("document.scripts.length") == 0
        assert found.page.locator("img").count() == 0
        body = found.page.evaluate("document.body.textContent")
        shown = visible(HOSTILE)
        assert body.count(shown) >= 8 and shown in found.page.locator("h1").text_content()
        assert "\\u202e" in shown and "\u202e" not in body and "\x1b" not in body
        assert "{{ 7 * 7 }}" in body and "49 }}" not in body


def plain(one):
    """The JSON of a report."""
    return json.loads(json.dumps(one.as_dict()))


def told(value, form=".1e"):
    """A number as the page must show it."""
    return "0" if value == 0 else f"{value:{form}}"


@pytest.mark.browser
@pytest.mark.parametrize("name", ["right", "wrong", "failing"])
def test_the_numbers_are_those_of_the_json(browser, pages, name):
    content = plain(REPORTS[name]())
    with opened(browser, pages[name]) as found:
        found.unfold()
        for dtype, one in content["conformance"].items():
            section = f"section[aria-labelledby={dtype}]"
            lines = [line.split("\t") for line in found.page.locator(
                f"{section} > .scroll tbody tr").all_inner_texts()]
            assert len(lines) == len(one["compared"])
            for line, group in zip(lines, one["compared"], strict=True):
                worst, digits = group["worst"], group["digits"]
                assert line[0].startswith(group["label"])
                assert line[1] == str(group["arrays"])
                if worst is None:
                    continue
                assert line[3:8] == [told(worst["error"]), told(worst["tolerance"], ".0e"), *(
                    f"{digits[key]:.1f}" for key in ("agree", "required", "allowed"))]
                assert (line[8] == "right") == group["passed"]
            check_layers(found, section, one)
            check_arrays(found, section, one)


def check_layers(found, section, one):
    rows = found.page.locator(f"{section} details.layers tbody tr").all_inner_texts()
    errors = [row.split("\t") for row in rows if row.count("\t") == 8]
    assert [row[0] for row in errors] == [layer["name"] for layer in one["layers"]]
    for row, layer in zip(errors, one["layers"], strict=True):
        alone, way = layer["alone"], layer["on_the_way"]
        assert row[8] == layer["verdict"]
        assert [row[2], row[5], row[6], row[7]] == [
            "" if figures is None else told(figures["error"]) for figures in (
                alone["output"], alone["log_det"], way["output"], way["log_det"])]
    log_dets = [row.split("\t") for row in rows if row.count("\t") == 3]
    assert [row[0] for row in log_dets] == [layer["name"] for layer in one["layers"]]
    for row, layer in zip(log_dets, one["layers"], strict=True):
        yours = layer["log_det"]["your_mean"]
        assert row[1] == f"{layer['log_det']['true_mean']:.6g}"
        assert row[2] == ("not given" if yours is None else f"{yours:.6g}")


def check_arrays(found, section, one):
    articles = found.page.locator(f"{section} article")
    assert articles.count() == len(one["arrays"]) > 0
    for k, array in enumerate(one["arrays"]):
        text = " ".join(articles.nth(k).inner_text().split())
        assert text.startswith(array["title"])
        for figures in filter(None, [array["figures"]]):
            assert f"Largest error {told(figures['error'])}," in text
        counts = articles.nth(k).locator(".histogram td.figure").all_inner_texts()
        drawn = array["histogram"]
        expected = [each["count"] for j, each in enumerate(drawn["bins"]) if each["count"] or not j]
        expected += [drawn["not_finite"]] if drawn["not_finite"] else []
        assert [int(count) for count in counts if count] == expected
        figures = articles.nth(k).locator("figure.map")
        assert figures.count() == len(array["maps"])
        for j, each in enumerate(array["maps"]):
            caption = " ".join(figures.nth(j).inner_text().split())
            largest = each["largest"]
            assert f"in row {largest['row']}, column {largest['column']}." in caption
            assert f"{each['height']} x {each['width']} pixels" in caption


@pytest.mark.browser
def test_rows_of_sections_and_vectors(browser, pages):
    with opened(browser, pages["golden"]) as found:
        rows = [row for section in plain(REPORTS["golden"]())["sections"].values()
                for row in sorted(section, key=lambda row: row["dtype"], reverse=True)]
        lines = [line.split("\t") for line in found.page.locator("tbody tr").all_inner_texts()]
        assert [(line[0], line[1], line[3], line[6]) for line in lines] == [
            (row["bijector"], row["prop"], told(row["relative"]),
             "right" if row["passed"] else "wrong") for row in rows]
    with opened(browser, pages["vectors"]) as found:
        found.unfold()
        vector = found.page.locator("details", has_text="tanh-one")
        text = " ".join(vector.inner_text().split())
        assert "forward/log_det float64 3.6e+0" not in text and "3.6e-06" in text
        assert "Suspected: LogDetSign" in text and "Not given: inverse/log_det." in text
        assert "Too ill-conditioned to judge in their number type: inverse/value." in text


@pytest.mark.browser
def test_the_block_of_the_first_wrong_layer_is_open(browser, pages):
    with opened(browser, pages["wrong"]) as found:
        assert found.page.locator("tr.first:visible").count() == 2
        name = report(PADDING).types[0].found.first_wrong_layer
        assert found.texts("tr.first th") == [name] * 2
    with opened(browser, pages["right"]) as found:
        assert found.page.locator("details[open]").count() == 0
