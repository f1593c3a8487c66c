"""The page in a browser: it loads nothing, shows refglow's numbers, and is usable by all."""

import math
import re
from itertools import product

import numpy as np
import pytest
from browser import LEAST_CONTRAST, SCHEMES, WIDTHS, opened

import refglow as rg
from refglow.explorer import Content, explorer_page, shipped_content, write_explorer
from refglow.training.dequantize import bits_per_dim
from refglow.training.model import (
    additive_network,
    affine_network,
    distribution_of,
    num_parameters,
)
from refglow.validation.random_models import randomize_weights

pytestmark = pytest.mark.browser

BUSY = 4  # so much slower may the machine of a test be than a reader's
READY = "html[data-ready]"
_ENTER = """([id, value]) => { const input = document.getElementById(id); input.value = value;
  input.dispatchEvent(new Event('input', { bubbles: true })); }"""
PIXELS = """() => { const c = document.getElementById('picture');
  const copy = new OffscreenCanvas(c.width, c.height)
    .getContext('2d', { willReadFrequently: true });
  copy.drawImage(c, 0, 0);
  return [...copy.getImageData(0, 0, c.width, c.height).data].filter((_, k) => k % 4 === 0); }"""

# [red, blue] of the pixel in which these differ most.
_STRONGEST = """c => {
  const copy = new OffscreenCanvas(c.width, c.height)
    .getContext('2d', { willReadFrequently: true });
  copy.drawImage(c, 0, 0);
  const { data } = copy.getImageData(0, 0, c.width, c.height);
  let most = [0, 0];
  for (let k = 0; k < data.length; k += 4) {
    const pair = [data[k], data[k + 2]];
    if (Math.abs(pair[0] - pair[1]) > Math.abs(most[0] - most[1])) most = pair;
  }
  return most; }"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "explorer.html"
    write_explorer(path)
    return path


@pytest.fixture
def seen(browser, path):
    with opened(browser, path) as found:
        found.page.wait_for_selector(READY)
        yield found
        assert found.said == [] and found.requested == []


def enter(found, name, value):
    """Give a field a value as a person does, and see what comes of it."""
    found.page.evaluate(_ENTER, [name, value])
    found.settle()


def fill(found, **values):
    for name, value in values.items():
        enter(found, f"design-{name}", value)


def number(found, selector):
    """The number that an element begins with."""
    text = found.page.locator(selector).inner_text().replace("\N{MINUS SIGN}", "-")
    return float(re.match(r"[-+\d.]+", text)[0])


def test_it_is_small_and_its_first_picture_soon_there(seen, path, capsys):
    assert path.stat().st_size < 3e6
    milliseconds = seen.page.evaluate("performance.getEntriesByName('first picture')[0].startTime")
    with capsys.disabled():
        print(f"\nexplorer page: {path.stat().st_size / 1e6:.2f} MB, first picture after "
              f"{milliseconds:.0f} ms")
    assert milliseconds < 2000 * BUSY
    assert max(seen.page.evaluate(PIXELS)) > 200


def test_its_policy_lets_nothing_in(seen):
    policy = seen.page.locator("meta[http-equiv]").get_attribute("content")
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", explorer_page())
    refused = seen.page.evaluate("""() => fetch('data:,x').then(() => 'let in', () => 'refused')""")
    assert refused == "refused"
    assert all("Content Security Policy" in said for said in seen.said)
    seen.said.clear()


@pytest.mark.usefixtures("by_the_specification")
def test_its_likelihoods_and_pictures_are_refglows(seen):
    content = shipped_content()
    glow = content.glow.astype(np.float64)
    x = (content.levels + 0.5) / 2.0**content.n_bits - 0.5
    z, ildj = glow.inverse_and_log_det(x)
    log_prob = distribution_of(glow).log_prob(x)
    bits = bits_per_dim(log_prob, x[0].size, content.n_bits)
    buttons = seen.page.locator("#images button")
    assert buttons.count() == len(x)
    for k in range(len(x)):
        buttons.nth(k).click()
        assert abs(number(seen, "#bits") - bits[k]) < 0.00051
        assert abs(number(seen, "#log-prob") - log_prob[k]) < 0.0051
        assert abs(number(seen, "#log-det") - ildj[k]) < 0.0051
        shown = content.levels[k].ravel() * 255.0 / content.max_level
        assert np.abs(shown - seen.page.evaluate(PIXELS)).max() <= 0.51
    # Colder: the latents of each scale times 0.5, from the coarsest on.
    parts = [part[-1] for part in glow.split_latents(z)]
    for k in range(len(parts)):
        seen.page.locator(".scale").nth(k).get_by_role("slider", name=re.compile(
            "^Temperature")).evaluate(
            "e => { e.value = 0.5; e.dispatchEvent(new Event('input')); }")
        parts[k] = parts[k] * 0.5
    seen.settle()
    latents = glow.merge_latents(parts)
    y, fldj = glow.forward_and_log_det(latents)
    expected = -0.5 * (latents**2).sum() - x[0].size / 2 * np.log(2 * np.pi) - fldj
    assert abs(number(seen, "#log-prob") - expected) < 0.0051
    shown = ((y + 0.5) * 2.0**content.n_bits - 0.5).ravel() * 255 / content.max_level
    assert np.abs(np.clip(shown, 0, 255) - seen.page.evaluate(PIXELS)).max() <= 0.51


@pytest.mark.usefixtures("by_the_specification")
def test_what_the_colours_of_numbers_mean_is_said_and_so(seen):
    for part in ("#play", "#watch"):
        assert "Blue numbers are negative, orange ones positive." in seen.texts(part)[0]
    content = shipped_content()
    x = (content.levels[:1] + 0.5) / 2.0**content.n_bits - 0.5
    pieces = content.glow.split_latents(content.glow.inverse(x.astype(content.glow.dtype)))
    for k, scheme in product(range(len(pieces)), SCHEMES):
        seen.turn(scheme)
        seen.settle()
        red, blue = seen.page.locator(".latents canvas").nth(k).evaluate(_STRONGEST)
        z = pieces[k].ravel()
        assert np.sign(red - blue) == np.sign(z[np.abs(z).argmax()])


@pytest.mark.usefixtures("by_the_specification")
@pytest.mark.parametrize(("shape", "network", "options"), [
    ((8, 4, 3), affine_network(4), {}),
    ((4, 8, 1), additive_network(3), {"use_actnorm": False, "dtype": np.float64}),
    ((8, 8, 3), None, {"num_steps_per_block": 0, "grab_after_block": (0.25, 0.5)}),
    ((4, 4, 1), affine_network(2), {"num_glow_blocks": 1, "grab_after_block": (1,)})])
def test_other_models_run_in_it(shape, network, options, browser, tmp_path):
    rng = np.random.default_rng(4)
    arguments = {"num_glow_blocks": 2, "num_steps_per_block": 2, "coupling_bijector_fn": network}
    glow = rg.bijectors.Glow(shape, seed=rng, **arguments | options)
    randomize_weights(glow, rng, 0.5)
    levels = rng.integers(0, 256, (1, *shape))
    write_explorer(tmp_path / "page.html", Content(glow, levels, ("One & only",), 8, 255, "About"))
    exact = glow.astype(np.float64)
    log_prob = distribution_of(exact).log_prob((levels + 0.5) / 256 - 0.5)
    with opened(browser, tmp_path / "page.html") as found:
        found.page.wait_for_selector(READY)
        assert abs(number(found, "#log-prob") - log_prob[0]) < 0.0051
        assert found.texts("#picture-caption") == ["One & only"]
        for k in range(int(found.page.locator("#layer").get_attribute("max")) + 1):
            enter(found, "layer", k)
        found.page.get_by_role("button", name=re.compile("^Draw new: ")).first.click()
        found.page.wait_for_timeout(500)
        assert found.said == [] and found.requested == [] and found.overflow() <= 0


@pytest.mark.parametrize(("gain", "says"), [
    (2, r"^All 3 test images come back .*10⁻¹[³⁴⁵]: nothing is lost on the way\.$"),
    (3, "^The 3 test images come back from their latents only to .*, and half a level is 2 . 10⁻³: "
        r"digits are lost on the way, in layers that are hard to undo\.$"),
    (40, r"^Not all test images come back from their latents: numbers overflow on the way\.$")],
    ids=["nothing", "digits", "all"])
def test_what_is_lost_between_image_and_latents_is_said(gain, says, browser, tmp_path):
    glow = rg.bijectors.Glow((4, 4, 1), 1, 2, affine_network(2), seed=0, dtype=np.float64)
    randomize_weights(glow, np.random.default_rng(0), gain)
    levels = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 1))
    write_explorer(tmp_path / "page.html", Content(glow, levels, ("a", "b", "c"), 8, 255, "About"))
    with opened(browser, tmp_path / "page.html") as found:
        found.page.wait_for_selector("#round-trip:not(:empty)")
        assert re.match(says, found.texts("#round-trip")[0]), found.texts("#round-trip")
        assert found.said == []


def test_its_layers_are_refglows(seen):
    """The last layer's running log-det is the whole log-det; every layer has a panel."""
    last = int(seen.page.locator("#layer").get_attribute("max"))
    assert last == 3 + 3 * 8 * 3 + 2 - 1
    titles = set()
    for k in range(last + 1):
        enter(seen, "layer", k)
        titles.add(seen.page.locator("#layer-title").inner_text())
        assert seen.page.locator("#layer-panel figure").count() >= 1
    assert len(titles) == last + 1
    total = seen.page.locator("#layer-sums").inner_text().split("so far ")[1].split()[0]
    assert total == seen.page.locator("#log-det").inner_text()


def test_its_designs_are_refglows(seen):
    seen.page.get_by_role("button", name="This page's sizes").click()
    exact = [int(value) for value in seen.page.locator("#totals dd").evaluate_all(
        "all => all.map(e => e.dataset.exact)")]
    glow = shipped_content().glow
    assert exact[0] == num_parameters(glow) and exact[2] == 4 * exact[0]
    assert seen.texts("#totals dd")[0].startswith(f"{exact[0]:,}")
    fill(seen, h=12, w=20, c=3, blocks=2, steps=2, hidden=5, fractions="0.25, 0.4")
    built = rg.bijectors.Glow(
        (12, 20, 3), 2, 2, seed=0, grab_after_block=(0.25, 0.4),
        coupling_bijector_fn=lambda s, **_: rg.networks.GlowDefaultNetwork(s, 5))
    assert seen.texts("#totals dd")[0].startswith(f"{num_parameters(built):,}")
    rows = [row.replace("\N{MULTIPLICATION SIGN}", "x") for row in seen.texts("#shapes tbody tr")]
    (leave0, grab0, pass0), (leave1, grab1, _) = built.blockwise_splits
    block1, block0 = leave1 + grab1, leave0 + grab0
    assert f"6 x 10 x 12 {block1} channels x 2 steps {grab1} of {block1}" in rows[1]
    assert f"3 x 5 x 48 {block0} channels x 2 steps {grab0} of {block0} {pass0}" in rows[2]
    assert "block1" in seen.page.locator("#schematic").inner_text()


@pytest.mark.parametrize(("values", "sentence", "fields"), [
    ({"h": 12, "blocks": 3},
     "The image's height 12 must be divisible by 2^num_glow_blocks = 2^3 = 8, because each block "
     "halves it; 12 allows at most 2 blocks.", {"h", "blocks"}),
    ({"fractions": "1, 0.5, 0"},
     "grab_after_block[0] = 1.0 (after block 1 from the image, where 4 channels remain) takes all "
     "channels out and leaves none for the next block; only the last block may do that. Use a "
     "smaller fraction.", {"fractions"}),
    ({"fractions": "1"},
     "grab_after_block has 1 fractions; there are 3 blocks, and each needs one.",
     {"fractions", "blocks"}),
    ({"fractions": "0, half, 0"},
     "Exit after each block: give a fraction for each, such as 0.5, or nothing at all; number 2 is "
     '"half".', {"fractions"}),
    ({"fractions": "0.5,,0"},
     "Exit after each block: give a fraction for each, such as 0.5, or nothing at all; number 2 is "
     '"".', {"fractions"}),
    ({"w": ""}, "Width: give a whole number.", {"w"}),
    ({"steps": "", "batch": ""}, "Steps in each, Batch: give a whole number.", {"steps", "batch"}),
    ({"batch": 10**15}, "This Glow has 5.8e+19 bytes; the page counts up to 9007199254740991.",
     {"h", "w", "c", "steps", "hidden", "batch"}),
    ({"steps": -1}, "glow_block: num_steps must be a whole number, at least 0; got -1.", {"steps"}),
    ({"h": 2**30},
     f"An image of {2**30} x 8 x 1 has {2**33} numbers; a model file, and this page, take at most "
     "2147483647.", {"h", "w", "c"}),
    ({"batch": 0.5}, "Batch must be a whole number, at least 1.", {"batch"})])
def test_impossible_sizes_say_why(values, sentence, fields, seen):
    before = seen.texts("#totals dd")
    fill(seen, **values)
    assert seen.texts("#problem-words") == [sentence]
    invalid = seen.page.locator("#form input[aria-invalid=true]")
    assert {element.get_attribute("name") for element in invalid.all()} == fields
    assert seen.texts("#totals dd") == before  # the last that fitted
    seen.page.get_by_role("button", name="This page's sizes").click()
    assert seen.texts("#problem-words") == ["This fits together."] and not invalid.count()


def test_zero_steps_are_possible_and_said_to_learn_nothing(seen):
    fill(seen, steps=0)
    assert seen.texts("#problem-words") == ["This fits together."]
    assert seen.texts("#problem-more")[0].startswith("Without steps only squeezes and exits")


def test_a_dot_can_be_dragged_smoothly(seen, capsys):
    pad = seen.page.locator(".pad").first
    pad.scroll_into_view_if_needed()
    seen.page.wait_for_timeout(700)  # the directions are found when it is quiet
    box, before = pad.bounding_box(), seen.page.evaluate(PIXELS)
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    seen.page.evaluate("""() => { window.frames_ = []; let last = performance.now();
      const tick = now => { frames_.push(now - last); last = now; requestAnimationFrame(tick); };
      requestAnimationFrame(tick); }""")
    seen.page.mouse.move(*middle)
    seen.page.mouse.down()
    for k in range(20):
        seen.page.mouse.move(middle[0] + 2 * k, middle[1] - k)
    seen.page.mouse.up()
    seen.settle()
    frame = np.median(seen.page.evaluate("frames_"))
    with capsys.disabled():
        print(f"\nexplorer page: {frame:.0f} ms from frame to frame while a dot is dragged")
    assert frame < 50 * BUSY
    moved = seen.page.evaluate(PIXELS)
    assert np.abs(np.subtract(moved, before)).max() > 20
    sliders = seen.page.locator(".scale").first.locator("input")
    width = box["width"] / 2
    assert math.isclose(float(sliders.nth(0).input_value()), 38 / width * 4, abs_tol=0.06)
    assert math.isclose(float(sliders.nth(1).input_value()), 19 / width * 4, abs_tol=0.06)
    seen.page.get_by_role("button", name=re.compile("Back to start: Coarsest")).click()
    assert seen.page.evaluate(PIXELS) == before


def test_on_a_phone_the_picture_stays_in_sight(seen):
    seen.look("light", WIDTHS[0], unfolded=False)
    mini = seen.page.locator("#mini")
    for selector, is_there in (("h1", False), (".scale >> nth=2", True), ("#design", False)):
        seen.page.locator(selector).evaluate("e => e.scrollIntoView()")
        mini.wait_for(state="visible" if is_there else "hidden")
    assert abs(number(seen, "#mini span") - number(seen, "#bits")) < 0.0051


# ---- by keyboard -----------------------------------------------------------------------------


def test_the_keyboard_reaches_everything_and_sees_where_it_is(seen):
    seen.unfold()
    wanted = seen.page.evaluate("""() => [...document.querySelectorAll(
      'a, button:not(:disabled), input, select, summary, [tabindex="0"]')].length""")
    reached = set()
    for _ in range(wanted):
        seen.page.keyboard.press("Tab")
        place, outline = seen.page.evaluate("""() => { const e = document.activeElement;
          const all = [...document.querySelectorAll('*')], style = getComputedStyle(e);
          return [all.indexOf(e),
            style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth)]; }""")
        reached.add(place)
        assert outline >= 2
    assert len(reached) == wanted
    named = seen.page.evaluate("""() => [...document.querySelectorAll('button, input, select')]
      .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length ||
                     e.querySelector('[aria-label]'))).length""")
    assert named == 0


def test_sliders_are_called_by_what_is_written_beside_them(seen):
    """As whoever speaks to the browser says it."""
    pairs = seen.page.locator("label:has(input[aria-label])").evaluate_all(
        "all => all.map(e => [e.innerText, e.querySelector('input').getAttribute('aria-label')])")
    assert len(pairs) == 9
    for written, name in pairs:
        assert name.lower().startswith(written.split("\n")[0].lower()), (written, name)


def test_the_keyboard_moves_everything(seen):
    page = seen.page
    for label in ("Across: Coarsest scale", "Up: Finest scale", "Temperature: Middle scale",
                  "Place between the two images"):
        before = page.evaluate(PIXELS)
        page.get_by_label(label).focus()
        for _ in range(12):
            page.keyboard.press("ArrowUp")
        seen.settle()
        assert page.evaluate(PIXELS) != before, label
    page.locator("#samples button").nth(2).focus()
    page.keyboard.press("Enter")
    assert page.locator("#picture-caption").inner_text() == "Sample 3, temperature 0.8"
    page.get_by_role("button", name="Draw new: Finest scale").focus()
    page.keyboard.press("Space")
    assert page.locator("#picture-caption").inner_text() == "Finest scale drawn anew"
    page.locator("#layer").focus()
    page.keyboard.press("ArrowRight")
    seen.settle()
    assert page.locator("#layer-title").inner_text() == "ActNorm block2.step7.actnorm"
    page.keyboard.press("End")
    seen.settle()
    assert page.locator("#layer-title").inner_text() == "Coupling block0.step0.coupling"
    page.locator("#theme").focus()
    page.keyboard.press("Enter")
    assert page.locator("#theme").get_attribute("aria-pressed") == "true"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"


def test_the_squeeze_plays_pauses_and_respects_reduced_motion(seen, browser, path):
    how_far = "() => Number(document.querySelector('.squeezing input').value)"
    seen.page.locator("#watch").scroll_into_view_if_needed()
    while seen.page.evaluate(how_far) < 0.2:
        seen.page.wait_for_timeout(20)
    button = seen.page.locator(".squeezing button")
    button.focus()
    seen.page.keyboard.press("Enter")
    paused = seen.page.evaluate(how_far)
    seen.page.wait_for_timeout(200)
    assert button.inner_text() == "Play" and seen.page.evaluate(how_far) == paused
    seen.page.locator(".squeezing input").focus()
    seen.page.keyboard.press("ArrowRight")
    assert seen.page.evaluate(how_far) > paused
    seen.page.emulate_media(reduced_motion="reduce")
    enter(seen, "layer", 1)
    enter(seen, "layer", 0)
    seen.page.wait_for_timeout(200)
    assert seen.page.evaluate(how_far) == 0 and button.inner_text() == "Play"


# ---- looks -----------------------------------------------------------------------------------


def test_it_fits_and_can_be_read_in_light_and_dark_on_a_phone_and_a_screen(seen):
    for scheme, width in product(SCHEMES, WIDTHS):
        seen.look(scheme, width, unfolded=True)
        for layer in (0, 1, 2, 3, 25):
            enter(seen, "layer", layer)
            assert seen.overflow() <= 0, (scheme, width, layer)
        contrasts = seen.contrasts()
        assert len(contrasts) > 100
        assert not [pair for pair in contrasts if pair[0] < LEAST_CONTRAST], (scheme, width)
        fill(seen, h=9)
        assert not [pair for pair in seen.contrasts() if pair[0] < LEAST_CONTRAST], (scheme, width)
        assert seen.overflow() <= 0
        fill(seen, h=8)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_colours_that_drawings_use_for_text_can_be_read(scheme, seen):
    seen.look(scheme, 1280, unfolded=False)
    ratios = seen.page.evaluate("""() => {
      const luminance = name => { const probe = document.createElement('i');
        probe.style.color = `var(${name})`; document.body.append(probe);
        const c = getComputedStyle(probe).color.match(/[\\d.]+/g).map(v => v / 255).map(
          v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        probe.remove(); return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
      return ['--ink', '--soft'].flatMap(text => ['--page', '--card', '--well'].map(below => {
        const [a, b] = [luminance(text), luminance(below)];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })); }""")
    assert len(ratios) == 6 and min(ratios) >= LEAST_CONTRAST


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_jumps_while_it_loads(width, browser, path):
    with opened(browser, path) as found:
        found.page.set_viewport_size({"width": width, "height": 800})
        found.page.goto(path.as_uri())
        found.page.wait_for_selector(READY)
        found.page.wait_for_timeout(1200)
        shift = found.page.evaluate("""() => new Promise(done => { let sum = 0;
          new PerformanceObserver(list => { for (const e of list.getEntries()) sum += e.value; })
            .observe({ type: 'layout-shift', buffered: true });
          setTimeout(() => done(sum), 100); })""")
    assert shift < 0.01


def test_paper_is_white_whatever_the_theme(seen):
    seen.page.emulate_media(color_scheme="dark", media="screen")
    ink = "getComputedStyle(document.body).color"
    on_screen = seen.page.evaluate(ink)
    seen.page.evaluate("document.documentElement.dataset.theme = 'dark'")
    seen.page.emulate_media(color_scheme="dark", media="print")
    assert on_screen == "rgb(233, 231, 225)" and seen.page.evaluate(ink) == "rgb(32, 34, 42)"


def test_without_scripts_there_is_one_sentence_and_no_dead_controls(browser, path):
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(path.as_uri())
        assert "switched off" in page.locator("noscript").inner_text()
        assert not page.locator("button, input, section").filter(visible=True).count()
    finally:
        context.close()
