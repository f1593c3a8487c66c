"""Pages in the system's Chromium: what they say, load and look like.

A test module has a browser by its fixture `browser` (conftest.py), marked `browser`; without
Chromium it is skipped. One browser serves a module and is closed after it: while one is open, no
other event loop can run in the thread.
"""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
SCHEMES = ("light", "dark")
WIDTHS = (360, 1280)
LEAST_CONTRAST = 4.5  # WCAG 2.2, AA, for text of any size

# Every text that is seen, with the ratio of its luminance to that of what is painted under it.
_CONTRASTS = """() => {
  const parsed = text => { const n = text.match(/[\\d.]+/g).map(Number);
                           return n.length < 4 ? [...n, 1] : n; };
  const over = (top, below) => top.slice(0, 3).map((v, k) => v * top[3] + below[k] * (1 - top[3]));
  const luminance = rgb => { const c = rgb.map(v => v / 255).map(
      v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const under = element => { const layers = [];
    for (let e = element; e; e = e.parentElement)
      layers.push(parsed(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]); };
  const found = [];
  const look = (element, style, text) => {
    const box = element.getBoundingClientRect();
    if (!text.trim() || !box.width || style.visibility !== 'visible') return;
    const below = under(element), a = luminance(over(parsed(style.color), below)),
          b = luminance(below);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.trim().slice(0, 60)]); };
  for (const element of document.body.querySelectorAll('*')) {
    const own = [...element.childNodes].filter(n => n.nodeType === 3).map(n => n.data).join('');
    look(element, getComputedStyle(element), own);
    for (const part of ['::before', '::after']) {
      const style = getComputedStyle(element, part);
      if (!['none', 'normal', '""'].includes(style.content)) look(element, style, style.content); }
  }
  return found; }"""


def found_browser():
    """The path of the system's browser, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@contextmanager
def running_browser():
    """The browser, without a window; skips the test where there is none."""
    path = found_browser()
    if path is None:
        pytest.skip(f"no browser was found: none of {', '.join(NAMES)}")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Opened:
    """A page that is open.

    Attributes:
      page: playwright's.
      said: what it, or the browser about it, wrote to the console.
      requested: every address but that of the page itself.
    """

    page: object
    said: list = field(default_factory=list)
    requested: list = field(default_factory=list)

    def unfold(self, unfolded=True):
        """Open all that is folded away, or fold it."""
        self.page.evaluate("o => document.querySelectorAll('details').forEach(d => d.open = o)",
                           unfolded)

    def settle(self):
        """Wait until what the page has put off to its next frame is drawn."""
        self.page.evaluate("""() => new Promise(done =>
          requestAnimationFrame(() => requestAnimationFrame(done)))""")

    def turn(self, scheme):
        """Change the colour scheme, and wait until the page has been told.

        The browser answers first and tells the page's listeners with one of its next frames;
        ours was added last, so that the page's own have run when it is called.
        """
        told = self.page.evaluate_handle("""scheme => {
          const query = matchMedia(`(prefers-color-scheme: ${scheme})`);
          return { query, done: query.matches ? null
            : new Promise(done => query.addEventListener("change", done, { once: true })) }; }""",
                                         scheme)
        self.page.emulate_media(color_scheme=scheme)
        told.evaluate("told => told.done && told.done.then(() => null)")
        told.dispose()

    def look(self, scheme, width, unfolded):
        """See it in that colour scheme and width, with all details open or none."""
        self.turn(scheme)
        self.page.set_viewport_size({"width": width, "height": 800})
        self.unfold(unfolded)

    def assert_outlined(self):
        """One main heading, no level left out below it, and no name given twice."""
        levels = [int(tag[1]) for tag in self.page.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => h.tagName)")]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        ids = self.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids))

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def contrasts(self):
        """(ratio, text) of all text that is seen."""
        return [tuple(pair) for pair in self.page.evaluate(_CONTRASTS)]

    def texts(self, selector):
        """The text of each element, white space folded."""
        return [" ".join(text.split()) for text in self.page.locator(selector).all_inner_texts()]


@contextmanager
def opened(browser, path):
    """A file in a new window, light and wide."""
    context = browser.new_context(color_scheme="light", viewport={"width": 1280, "height": 800})
    try:
        found = Opened(context.new_page())
        address = path.as_uri()
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("dialog", lambda dialog: (found.said.append(dialog.message),
                                                dialog.dismiss()))
        found.page.on("request", lambda request: found.requested.append(request.url)
                      if request.url != address else None)
        found.page.goto(address)
        yield found
    finally:
        context.close()
