"""The documentation: it builds without a warning, and every link in it leads somewhere."""

import re
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import LEAST_CONTRAST, SCHEMES, WIDTHS, opened
from bs4 import BeautifulSoup
from built_site import DOCS, sphinx
from plain_docstrings import plain
from public_names import PublicName, public_names
from sphinx.util.inventory import InventoryFile

pytestmark = pytest.mark.slow
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


def test_it_builds_without_a_warning_in_ten_minutes(built_site):
    assert built_site.said == ""
    assert built_site.seconds < 600


def test_every_notebook_runs_in_a_minute(built_site):
    notebooks = [path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")
                 if "```{code-cell}" in path.read_text(encoding="utf-8")]
    if shutil.which("node") is None:
        notebooks.remove("howto/vectors")
    assert sorted(built_site.notebook_seconds) == sorted(notebooks)
    assert {name: took for name, took in built_site.notebook_seconds.items() if took > 60} == {}
    if shutil.which("node") is None:
        pytest.skip("Node.js was not found: howto/vectors did not run, all other notebooks did")


def parsed(folder):
    return {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
            for path in sorted(folder.rglob("*.html"))}


@pytest.fixture(scope="module")
def pages(built_site):
    return Path(built_site.html)


@pytest.fixture(scope="module")
def soups(pages):
    return parsed(pages)


def dead_links(soups):
    """(page, link) of each link to a page or a place in it that is not there."""
    ids = {path: {tag["id"] for tag in soup.find_all(id=True)} for path, soup in soups.items()}
    dead = []
    for path, soup in soups.items():
        for tag in soup.find_all("a", href=True):
            parts = urlsplit(tag["href"])
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = target.exists() and (not parts.fragment or target not in ids
                                         or unquote(parts.fragment) in ids[target])
            if not there:
                dead.append((path.name, tag["href"]))
    return dead


def test_links_inside_lead_somewhere(soups):
    assert len(soups) > 20
    assert dead_links(soups) == []


def test_what_pages_load_is_beside_them(soups):
    for path, soup in soups.items():
        for name, attribute in LOADED.items():
            for tag in soup.find_all(name, **{attribute: True}):
                parts = urlsplit(tag[attribute])
                assert not parts.netloc, (path.name, tag)
                assert parts.scheme == "data" or (path.parent / unquote(parts.path)).exists(), (
                    path.name, tag)


def test_pictures_are_described(soups):
    """A picture without words has its file's name for them; togglers are the theme's own."""
    bare = [(path.name, tag) for path, soup in soups.items()
            for tag in soup.select("img:not(.toggler)")
            if len(tag.get("alt", "")) < 40 or tag["alt"].endswith(".png")]
    assert bare == []


def test_nothing_tells_where_it_was_built(pages):
    """No page names a folder of this machine."""
    folders = map(str, (DOCS.parent, pages.parent, Path.home(), tempfile.gettempdir()))
    machine = re.compile("|".join(re.escape(folder) + "/" for folder in folders if folder != "/"))
    told = [(path.name, found[0]) for path in pages.rglob("*.html")
            if (found := machine.search(path.read_text(encoding="utf-8")))]
    assert told == []


def test_a_dead_link_is_found(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<p id="here"><a href="#here">1</a><a href="#gone">2</a><a href="no.html">3</a>'
                    '<a href="page.html#here">4</a><a href="https://example.org/x">5</a>')
    assert dead_links(parsed(tmp_path)) == [("page.html", "#gone"), ("page.html", "no.html")]


def missing(names, pages):
    """The public names that the reference does not have."""
    inventory = InventoryFile.loads((pages / "objects.inv").read_bytes(), uri="")
    listed = (pages / "reference/names.html").read_text(encoding="utf-8")
    return [f"{one.package}.{one.name}" for one in names
            if (one.target is not None and not any(
                one.target in items for domain, items in inventory.data.items()
                if domain.startswith("py:"))) or f">{one.name}<" not in listed]


def test_every_public_name_is_in_the_reference(pages):
    names = public_names()
    assert len(names) > 120
    assert missing(names, pages) == []
    assert missing([PublicName("refglow", "Path", Path)], pages) == ["refglow.Path"]


def test_docstrings_become_what_they_look_like():
    given = ["Sum of |x| * 2, as `a_ * b`.", "", "    y = |x| * 2", "    z  = y_", "", "On it goes",
             "  indented, J_k and x_ here.", "", ">>> 2 * 3", "6_", "", "Args:", "  x: [B].",
             "    more"]
    assert plain(given) == [
        r"Sum of \|x\| \* 2, as `a_ * b`.", "", ".. code-block:: text", "", "    y = |x| * 2",
        "    z  = y_", "", "On it goes", r"indented, J_k and x\_ here.", "", ">>> 2 * 3", "6_", "",
        "Args:", "  x: [B].", "    more"]


def looked_at(pages):
    """Pages of every kind; of the lessons all, for nobody else opens them."""
    kinds = ("index", "howto/validate", "howto/vectors", "howto/bench", "howto/plots",
             "reference/glow", "reference/names", "reference/plots", "errata", "dialects",
             "planted_mistakes", "design", "guide/index")
    return [*(pages / f"{name}.html" for name in kinds),
            *sorted((pages / "lessons").glob("*.html"))]


@pytest.mark.browser
def test_pages_fit_can_be_read_and_are_silent(pages, browser):
    wrong = []
    for path in looked_at(pages):
        name = path.relative_to(pages).as_posix()
        with opened(browser, path) as found:
            for scheme in SCHEMES:
                for width in WIDTHS:
                    found.look(scheme, width, True)
                    if found.overflow() > 0:
                        wrong.append((name, scheme, width, "wider by", found.overflow()))
                weak = [pair for pair in found.contrasts() if pair[0] < LEAST_CONTRAST]
                wrong += [(name, scheme, *pair) for pair in weak[:5]]
            if found.said:
                wrong.append((name, found.said))
            wrong += [(name, address) for address in found.requested
                      if not address.startswith(("file:", "data:"))]
    assert wrong == []


def test_doctests_pass(pages):
    """Those of docstrings, on what the build of the site has read."""
    done = sphinx("doctest", pages.parent)
    summary = (pages.parent / "doctest/output.txt").read_text(encoding="utf-8")
    assert done.returncode == 0, summary
    [tests] = re.findall(r"(\d+) tests\n", summary)
    assert int(tests) > 20 and "0 failures in tests" in summary
