"""A drawing of which parts of the package import which, from the imports as they are."""

import ast
from collections import Counter
from typing import Any

from package_modules import module_files

# Where each part is drawn: what rests on others above them.
PLACES = {"cli": (0.5, 6.0), "plot": (0.1, 5.2), "lessons": (0.37, 5.0), "explain": (0.63, 5.0),
          "explorer": (0.9, 5.2), "validation": (0.62, 4.0), "training": (0.3, 3.2),
          "distributions": (0.12, 2.2), "bijectors": (0.5, 2.0), "networks": (0.88, 2.2),
          "core": (0.3, 1.0), "kernels": (0.75, 0.6)}
_WORDS = {"core": "backend, files, ..."}
_DOORS = ("refglow", "refglow.__main__")  # which lead to everything


def part_of(module: str) -> str | None:
    """The part that a module belongs to; None if it is not refglow's."""
    root, _, rest = module.partition(".")
    if root != "refglow":
        return None
    first = rest.partition(".")[0]
    return first if first in PLACES else "core"


def imports() -> Counter[tuple[str, str]]:
    """How many import statements lead from one part to another, those inside functions too."""
    found: Counter[tuple[str, str]] = Counter()
    for name, path in module_files().items():
        if name in _DOORS:
            continue
        here = part_of(name)
        for module in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            there = part_of(module)
            if here and there and here != there:
                found[here, there] += 1
    return found


def _imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{alias.name}" if node.module == "refglow" else node.module
                      for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return names


def drawing() -> Any:
    """The parts, an arrow from each to what it imports; its width says how often."""
    import matplotlib.pyplot as plt
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    from refglow.plot.style import BLUE, FAINT, GREY, VERMILION

    counts = imports()
    there = {part for pair in counts for part in pair}
    _, axes = plt.subplots(figsize=(8, 6), layout="constrained", facecolor="none")
    places = {part: place for part, place in PLACES.items() if part in there}
    for (here, target), count in counts.items():
        upwards = places[here][1] + 0.5 < places[target][1]
        axes.add_patch(FancyArrowPatch(
            places[here], places[target], shrinkA=18, shrinkB=18, arrowstyle="-|>",
            mutation_scale=10, color=VERMILION if upwards else GREY, alpha=0.8,
            linewidth=0.6 + min(count, 60) / 20, connectionstyle="arc3,rad=0.12", zorder=1))
    for part, (x, y) in places.items():
        axes.add_patch(FancyBboxPatch((x - 0.09, y - 0.2), 0.18, 0.4, facecolor=BLUE,
                                      alpha=1 - FAINT / 3, edgecolor="none",
                                      boxstyle="round,pad=0.01,rounding_size=0.03", zorder=2))
        axes.text(x, y, _WORDS.get(part, part), ha="center", va="center", color="white", zorder=3,
                  fontsize="small")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(0.2, 6.4)
    axes.set_axis_off()
    plt.show()
