"""Draw the README's picture of a report anew: `python docs/pictures/report.py`, with Chromium.

The report is that of a port whose couplings compute s (x + t), one of the mistakes that
`refglow mutants` plants.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_suffix(".png")
WRONG = """from refglow.validation.mutants import MUTANTS
build = MUTANTS["coupling-shift-first"].build
"""
WIDTH = 1000  # pixels; a browser's window


def written_report(folder):
    """The page that `refglow validate` writes of that port."""
    (folder / "mine.py").write_text(WRONG, encoding="utf-8")
    command = [sys.executable, "-m", "refglow", "validate", "--implementation", "mine.py:build",
               "--html", "report.html"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 1:
        raise RuntimeError(f"The port was not found wrong: exit code {done.returncode}.")
    return folder / "report.html"


def photograph(page_file, folder):
    """Pictures of the page's summary and of its first figure, the error by layer."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"),
                                             args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": 800})
        page.goto(page_file.as_uri())
        end_of_summary = page.locator("section").first.bounding_box()
        figure = page.locator("figure.strip").first.bounding_box()
        top = end_of_summary["y"] + end_of_summary["height"] + 8
        pictures = []
        for y, height in ((0, top), (figure["y"] - 50, figure["height"] + 60)):
            pictures.append(folder / f"{len(pictures)}.png")
            page.screenshot(path=pictures[-1], full_page=True,
                            clip={"x": 0, "y": y, "width": WIDTH, "height": height})
        browser.close()
    return pictures


def one_below_the_other(pictures):
    """One picture of several of the same width."""
    parts = [Image.open(picture).convert("RGB") for picture in pictures]
    whole = Image.new("RGB", (WIDTH, sum(part.height for part in parts)))
    y = 0
    for part in parts:
        whole.paste(part, (0, y))
        y += part.height
    return whole


def main():
    """Write PICTURE, in few colours, so that it stays small."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = one_below_the_other(photograph(written_report(folder), folder))
    whole.quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
