"""The page: template, style, script and a model, in one file that loads nothing."""

from __future__ import annotations

import base64
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from refglow.atomic_file import AnyPath, write_atomically
from refglow.bijectors.architecture import architecture_of, networks_of
from refglow.bijectors.glow import Glow
from refglow.explorer.bundle import bundled
from refglow.explorer.content import Content, shipped_content
from refglow.inline_script import json_in_script, policy_source
from refglow.model_file import save


def write_explorer(path: AnyPath, content: Content | None = None) -> None:
    """Write the explorer page, atomically.

    Args:
      path: of the HTML file.
      content: the model and its images; None: the small Glow that comes with refglow.

    Raises:
      OSError: if the file cannot be written.
    """
    write_atomically(path, explorer_page(content).encode())


def explorer_page(content: Content | None = None) -> str:
    """The page as text; `content` as for `write_explorer`."""
    shown = shipped_content() if content is None else content
    folder = resources.files("refglow.explorer")
    style = (folder / "page.css").read_text("utf-8")
    script = bundled("view/page.mjs", lambda path: (folder / "js" / path).read_text("utf-8"))
    environment = Environment(loader=PackageLoader("refglow.explorer", "."), autoescape=True,
                              undefined=StrictUndefined)
    return environment.get_template("page.html").render(
        style=Markup(style), script=Markup(script), about=shown.about,
        data=json_in_script(_data(shown)),
        policy=f"default-src 'none'; img-src data:; style-src {policy_source(style)}; "
               f"script-src {policy_source(script)}")


def _data(content: Content) -> dict[str, Any]:
    return {"model": base64.b64encode(_file_of(content.glow)).decode(),
            "n_bits": content.n_bits, "max_level": content.max_level,
            "architecture": _sizes(content.glow),
            "images": [{"name": name, "levels": levels.ravel().tolist()}
                       for name, levels in zip(content.names, content.levels, strict=True)]}


def _file_of(glow: Glow) -> bytes:
    """The model file that `save` writes; the page reads the same format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save(path, glow)
        return path.read_bytes()


def _sizes(glow: Glow) -> dict[str, Any]:
    """The model's architecture, as the form has it."""
    architecture = architecture_of(glow)
    height, width, channels = architecture.output_shape
    fractions = architecture.grab_after_block
    hidden = [next(iter(network.layers.values())).kernel.shape[-1]
              for network in networks_of(glow)[0]]
    return {"h": height, "w": width, "c": channels, "blocks": architecture.num_glow_blocks,
            "steps": architecture.num_steps_per_block, "hidden": hidden[0] if hidden else 32,
            "fractions": None if fractions is None else list(fractions)}
