"""The page in a browser: the slider moves, its numbers are the trace's, it loads nothing, fits."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pytest
from browser import LEAST_CONTRAST, SCHEMES, WIDTHS, opened
from glows import glow_of, start_of

from refglow.bijectors import Glow
from refglow.explain import trace
from refglow.explain.page import html_page, write_page
from refglow.explain.picture import ZERO, picture_of
from refglow.explain.pixel import worked
from refglow.validation.cases import small_network
from refglow.validation.random_models import random_images, randomize_weights

HOSTILE = ("</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202e {{ 7 * 7 }} "
           "\"'&.png")
CASES = {"image to latent": ("three channels", "inverse"),
         "latent to image": ("three channels", "forward"),
         "bijectors": ("bijectors", "inverse"), "not finite": ("three channels", "inverse")}


def traced(name):
    option, direction = CASES[name]
    glow = glow_of(option)
    start = start_of(glow, direction)
    if name == "not finite":
        start[1, 2, 3, 1] = np.inf
    return trace(glow, start, direction)


@pytest.fixture(scope="module")
def traces():
    return {name: traced(name) for name in CASES}


@pytest.fixture(scope="module")
def pages(traces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    for name, found in traces.items():
        write_page(folder / f"{name}.html", found, "a model", "an image", example=1)
    return {name: folder / f"{name}.html" for name in traces}


# ---- without a browser -----------------------------------------------------------------------


class Parts(HTMLParser):
    """Tags, attributes and the scripts' text of a page."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.scripts, self._inside = set(), set(), [], False

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= set(attrs)
        self._inside = tag == "script"
        if self._inside:
            self.scripts.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        self._inside = False

    def handle_data(self, data):
        if self._inside:
            self.scripts[-1][1] += data


def parts_of(page):
    found = Parts()
    found.feed(page)
    return found


def test_a_page_needs_nothing_else_and_runs_its_own_script_alone(traces):
    page = html_page(traces["image to latent"], "a model", "an image")
    found = parts_of(page)
    assert not found.names & {"img", "iframe", "object", "embed", "form", "base", "video"}
    assert not {key for key, _ in found.attributes if key.startswith("on") or key == "src"}
    [(_, policy)] = [pair for pair in found.attributes
                     if pair[0] == "content" and "default-src" in pair[1]]
    [data, script] = found.scripts
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy and "default-src 'none'" in policy
    assert data[0] == {"type": "application/json", "id": "data"}
    assert not re.search(r"url\(|@import|https?:", page)


def with_hostile_words(found):
    """As where a user's network makes a bijector of that name."""
    stages = [replace(stage, words=HOSTILE, maths=HOSTILE) for stage in found.stages]
    return replace(found, stages=tuple(stages))


def test_strangers_text_stays_text(traces):
    page = html_page(with_hostile_words(traces["image to latent"]), HOSTILE, HOSTILE)
    found = parts_of(page)
    assert len(found.scripts) == 2 and "img" not in found.names
    assert "\u202e" not in page and r"\u202e" in page and "49 }}" not in page


def test_the_picture_holds_the_tensor(traces):
    found = traces["image to latent"]
    steps = json.loads(parts_of(html_page(found, "", "", example=1)).scripts[0][1])
    assert len(steps) == len(found) + 1
    for stage, step in zip(found, steps[1:], strict=True):
        levels = np.frombuffer(base64.b64decode(step["picture"]["levels"]), np.uint8)
        drawn = picture_of(stage.active_output[1])
        assert np.array_equal(levels.reshape(drawn.levels.shape), drawn.levels)
        if stage.kind != "latents":
            numbers = (levels.reshape(drawn.levels.shape).astype(float) - ZERO) / ZERO * drawn.limit
            np.testing.assert_allclose(numbers, np.moveaxis(stage.active_output[1], -1, 0),
                                       rtol=0, atol=drawn.limit / ZERO)


def large():
    """A trace of 3 blocks of 32 steps, with images as large as the default Glow's."""
    glow = Glow((32, 32, 3), 3, 32, lambda shape, dtype: small_network(shape, 1, dtype=dtype),
                seed=0)
    randomize_weights(glow, np.random.default_rng(0), gain=0.1)
    x = random_images(np.random.default_rng(1), 1, (32, 32, 3)).astype(np.float32)
    return trace(glow, x, conditions=False)


@pytest.mark.browser
def test_a_page_of_a_large_model_is_not_large_and_opens_soon(browser, tmp_path):
    write_page(tmp_path / "large.html", large(), "large", "noise")
    assert 1_000_000 < (tmp_path / "large.html").stat().st_size < 3_000_000
    with opened(browser, tmp_path / "large.html") as found:
        assert found.said == []
        assert found.page.locator("#step").get_attribute("max") == "295"
        drawn = found.page.evaluate("performance.getEntriesByType('paint')[0].startTime")
        assert drawn < 10_000  # milliseconds, on a machine that is doing other things


# ---- in a browser ----------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("name", CASES)
def test_a_page_is_quiet_fits_and_can_be_read(browser, pages, name):
    with opened(browser, pages[name]) as found:
        last = int(found.page.locator("#step").get_attribute("max"))
        for width, scheme, unfolded in product(WIDTHS, SCHEMES, (False, True)):
            found.look(scheme, width, unfolded)
            for place in (0, 3, last):
                found.page.evaluate("k => go(k)", place)
                assert found.overflow() <= 0
            background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
            levels = [int(level) for level in re.findall(r"\d+", background)]
            assert (min(levels) > 200) if scheme == "light" else (max(levels) < 60)
            texts = found.contrasts()
            assert len(texts) > 30
            assert [(round(ratio, 2), text) for ratio, text in texts
                    if ratio < LEAST_CONTRAST] == []
        assert (found.said, found.requested) == ([], [])


@pytest.mark.browser
@pytest.mark.parametrize("name", CASES)
def test_the_numbers_are_those_of_the_trace(browser, pages, traces, name):
    found_trace = traces[name]
    with opened(browser, pages[name]) as found:
        def text(selector):
            return " ".join(found.page.locator(selector).inner_text().split())
        for k, stage in enumerate(found_trace, 1):
            found.page.keyboard.press("ArrowRight")
            assert text("#name") == stage.name and text("#title") == stage.title
            assert text("#count") == f"{k} of {len(found_trace)}"
            assert text("#words") == stage.words
            assert text("#maths") == " ".join(stage.maths.split())
            assert text("#shape") == " \u2192 ".join(
                "x".join(map(str, sizes)) for sizes in (stage.shape_in, stage.shape_out))
            same(text("#log_det").removesuffix(" nats"), stage.log_det[1])
            same(text("#bits"), stage.running.total[1], 1e-4)
            prior, paid = re.findall(r"(?:prior|log-dets) (not finite|-?[\d.]+)", text("#parts"))
            same(prior, stage.running.prior[1], 1e-4)
            same(paid, stage.running.log_dets[1], 1e-4)
            if text("#condition") != "-":
                assert float(text("#condition")) == pytest.approx(stage.condition[1], rel=1e-2)
            assert text("#condition_how") == stage.condition_how
            assert_statistics(text("#statistics"), stage.active_output[1])
            lines = [" ".join(line.split()) for section in worked(
                found_trace, stage.name, example=1).sections for line in section.lines]
            assert found.texts(".worked p") == lines
        assert found.page.locator("#next").is_disabled()
        found.unfold()
        rows = [row.split("\t") for row in found.page.locator("tbody tr").all_inner_texts()]
        assert [row[0] for row in rows] == list(found_trace.names)
        for row, stage in zip(rows, found_trace, strict=True):
            same(row[2], stage.log_det[1])
            same(row[3], stage.running.total[1], 1e-4)
            shown = stage.active_output[1][np.isfinite(stage.active_output[1])]
            same(row[5], shown.min() if shown.size else np.nan)
            same(row[6], shown.max() if shown.size else np.nan)
        assert found.said == []


def same(shown, true, absolute=1e-12):
    """A number as it is shown."""
    if not np.isfinite(true):
        assert shown == "not finite"
    else:
        rel = 0.05 if "e" in shown else 1e-3  # of very small and large ones fewer digits are shown
        assert float(shown) == pytest.approx(float(true), rel=rel, abs=absolute)


def assert_statistics(text, tensor):
    """What stands below "Its numbers" is of the example that is shown."""
    found = re.match(r"least (\S+)(?: in channel (\d+))? largest (\S+)(?: in channel (\d+))? mean "
                     r"(\S+) standard deviation (\S+)(?: not finite (\d+))?$", text)
    finite = np.isfinite(tensor)
    numbers = tensor[finite]
    if not numbers.size:
        assert text == f"not finite all {tensor.size}"
        return
    for shown, true in zip(found.group(1, 3, 5, 6), (
            numbers.min(), numbers.max(), numbers.mean(), numbers.std()), strict=True):
        same(shown, true)
    if tensor.ndim == 1:
        assert found[2] is None and found[4] is None
    else:
        for channel, true in ((found[2], numbers.min()), (found[4], numbers.max())):
            assert true in tensor[..., int(channel)]
    assert int(found[7] or 0) == (~finite).sum()


@pytest.mark.browser
def test_the_slider_by_keys_mouse_and_buttons(browser, pages, traces):
    names = ["image", *traces["image to latent"].names]
    last = len(names) - 1
    with opened(browser, pages["image to latent"]) as found:
        page = found.page

        def here():
            place = names.index(page.locator("#name").inner_text())
            assert page.locator("#step").input_value() == str(place)
            return place
        assert here() == 0 and page.locator("#back").is_disabled()
        page.keyboard.press("ArrowRight")  # without any focus
        assert here() == 1
        page.locator("#step").focus()
        for key, place in (("ArrowRight", 2), ("ArrowLeft", 1), ("End", last), ("Home", 0),
                           ("PageUp", 10), ("PageDown", 0)):
            page.keyboard.press(key)
            assert here() == place, key
        told = page.locator("#step").get_attribute("aria-valuetext")
        assert told == f"0 of {last}: image, What goes in"
        page.locator("#next").click()
        page.locator("#next").click()
        page.locator("#back").click()
        assert here() == 1
        box = page.locator("#step").bounding_box()
        page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] / 2)
        assert abs(here() - last / 2) <= 1
        chart = page.locator(".box").first
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        page.mouse.click(box["x"] + box["width"] * 3 / last, box["y"] + 20)
        assert here() == 3
        marker = page.locator(".marker").first.bounding_box()
        assert marker["x"] + 1 == pytest.approx(box["x"] + box["width"] * 3 / last, abs=2)
        page.locator("summary").focus()  # where arrows mean something else
        page.keyboard.press("ArrowRight")
        assert here() == 3


@pytest.mark.browser
def test_it_plays_to_the_end_and_stops(browser, pages, traces):
    last = len(traces["image to latent"])
    with opened(browser, pages["image to latent"]) as found:
        page = found.page
        page.evaluate("k => go(k)", last - 1)
        page.locator("#play").click()
        assert page.locator("#play").get_attribute("aria-pressed") == "true"
        page.locator("#next:disabled").wait_for()
        assert page.locator("#play").get_attribute("aria-pressed") == "false"
        page.locator("#play").click()  # begins anew
        assert page.locator("#name").inner_text() == "image"
        page.keyboard.press("ArrowRight")  # somebody takes over
        assert page.locator("#play").get_attribute("aria-pressed") == "false"


@pytest.mark.browser
def test_touch_moves_the_slider(browser, pages):
    context = browser.new_context(has_touch=True, viewport={"width": 360, "height": 800})
    try:
        page = context.new_page()
        page.goto(pages["image to latent"].as_uri())
        box = page.locator("#step").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] - 12, box["y"] + box["height"] / 2)
        assert page.locator("#name").inner_text() == "latents"
    finally:
        context.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", SCHEMES)
def test_pictures_are_drawn_in_the_colours_of_the_scale(browser, pages, traces, scheme):
    """Each pixel's place on the ramp is its number."""
    with opened(browser, pages["image to latent"]) as found:
        found.look(scheme, 1280, False)
        for k in (1, 3, 8):
            found.page.evaluate("k => go(k)", k)
            drawn = picture_of(traces["image to latent"].stages[k - 1].active_output[1])
            image, ramp = (np.array(found.page.evaluate(
                "id => { const c = document.getElementById(id), d = c.getContext('2d')"
                ".getImageData(0, 0, c.width, c.height); return [c.height, c.width, ...d.data]; }",
                name)) for name in ("picture", "ramp"))
            image, ramp = (a[2:].reshape(a[0], a[1], 4) for a in (image, ramp))
            _, height, width = drawn.levels.shape
            for channel, levels in enumerate(drawn.levels):
                top = channel // drawn.columns * (height + 1)
                left = channel % drawn.columns * (width + 1)
                assert np.array_equal(image[top:top + height, left:left + width], ramp[0][levels])
            assert len(np.unique(ramp[0], axis=0)) > 200


@pytest.mark.browser
def test_what_is_not_finite_is_told(browser, pages, traces):
    """The magenta is explained where there is some; a log-det that is no number has no unit."""
    with opened(browser, pages["not finite"]) as found:
        assert "Magenta: not finite." in found.page.locator("#caption").inner_text()
        assert_statistics(" ".join(found.page.locator("#statistics").inner_text().split()),
                          traces["not finite"].start[1])
        assert found.page.locator(".made dd").all_inner_texts()[3:5] == ["not finite"] * 2
        assert "nan" not in found.page.locator("header").inner_text()
        found.page.evaluate("go(4)")
        assert found.page.locator("#log_det").inner_text() == "not finite"
    with opened(browser, pages["image to latent"]) as found:
        found.page.evaluate("go(steps.length - 1)")  # a vector, no multiple of 64
        assert found.page.locator("#caption").inner_text() == "The vector, line by line."
        assert_statistics(" ".join(found.page.locator("#statistics").inner_text().split()),
                          traces["image to latent"].result[1])


@pytest.mark.browser
def test_the_image_is_shown_in_its_colours(browser, pages):
    with opened(browser, pages["image to latent"]) as found:
        assert found.page.locator("#image").is_visible()
        found.page.keyboard.press("ArrowRight")
        assert found.page.locator("#image").is_hidden()
    with opened(browser, pages["latent to image"]) as found:
        assert found.page.locator("#image").is_hidden()
        found.page.locator("#step").focus()
        found.page.keyboard.press("End")
        assert found.page.locator("#image").is_visible()


@pytest.mark.browser
def test_hostile_names_are_shown_as_text(browser, traces, tmp_path):
    write_page(tmp_path / "hostile.html", with_hostile_words(traces["image to latent"]), HOSTILE,
               HOSTILE)
    with opened(browser, tmp_path / "hostile.html") as found:
        assert found.said == [] and found.page.evaluate("document.scripts.length") == 2
        found.page.keyboard.press("ArrowRight")
        assert found.page.locator("#words").inner_text().startswith(HOSTILE[:62])
        assert found.page.locator("img").count() == 0 and found.said == []
        assert found.page.evaluate("document.querySelector('header').textContent").count(
            HOSTILE[:62]) == 2
        assert HOSTILE[:62] in found.page.title()
        found.look("light", 360, True)
        assert found.overflow() <= 0


@pytest.mark.browser
def test_it_can_begin_with_a_stage(browser, traces, tmp_path):
    write_page(tmp_path / "at.html", traces["image to latent"], "", "", at="block1.step0.conv",
               pixel=(1, 6))
    with opened(browser, tmp_path / "at.html") as found:
        assert found.page.locator("#name").inner_text() == "block1.step0.conv"
        assert "Pixel 1,6 of the image" in found.page.locator("#where").inner_text()


def test_a_trace_writes_its_page_and_works_a_pixel(traces, tmp_path):
    found = traces["image to latent"]
    found.write_html(tmp_path / "one.html", "m", pixel=(1, 6))
    write_page(tmp_path / "other.html", found, "m", "an image", pixel=(1, 6))
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    assert found.pixel("block1.exit", 1, 6) == worked(found, "block1.exit", 1, 6)
    for arguments, message in (({"pixel": (4, 0)}, "rows 0 to 3"), ({"at": "x"}, "no stage 'x'")):
        with pytest.raises(ValueError, match=message):
            found.write_html(tmp_path / "refused.html", **arguments)
    assert not (tmp_path / "refused.html").exists()


@pytest.mark.browser
def test_headings_are_in_order_and_names_unique(browser, pages):
    with opened(browser, pages["image to latent"]) as found:
        found.page.keyboard.press("ArrowRight")
        found.assert_outlined()
        nameless = found.page.evaluate(
            "[...document.querySelectorAll('button,input,canvas,[role=img]')].filter("
            "e => !e.getAttribute('aria-label')).length")
        assert nameless == 0


@pytest.mark.browser
def test_without_scripts_the_table_is_there(browser, pages, traces):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(pages["image to latent"].as_uri())
        assert page.locator("noscript").is_visible()
        assert not page.locator(".player, .stage, #worked-section").filter(visible=True).count()
        assert page.locator("tbody tr").count() == len(traces["image to latent"])
    finally:
        context.close()
