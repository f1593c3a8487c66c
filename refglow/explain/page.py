"""A trace as one HTML page with a slider over its stages.

The page loads nothing; the one script in it is allowed by its hash. Pictures are levels of a colour
map, a byte for each number, which the page draws when a stage is looked at.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from refglow import __version__
from refglow.atomic_file import write_atomically
from refglow.dtypes import Array
from refglow.explain.charts import line_of, waterfall
from refglow.explain.equations import MOST
from refglow.explain.picture import colours_of, picture_of
from refglow.explain.pixel import worked
from refglow.explain.record import Running, Stage, Trace
from refglow.explain.statistics import Statistics, statistics_of
from refglow.explain.text import carried, condition, figure, shape
from refglow.inline_script import json_in_script, policy_source
from refglow.validation.report.html import visible

OnStage = Callable[[str, int, int], object]

_BYTES_OF_PICTURES = 1_000_000  # of all together, before they are written as text
_LEAST_OF_PICTURE = 1024
_MANY = 300  # stages, from which on less is written out of each
_MOST_OF_MANY = 4
_MOST_PIXELS = 128  # a side, of an image in colours


def write_page(path: str | os.PathLike[str], trace: Trace, model: str, shown: str, *,
               pixel: tuple[int | None, int | None] = (None, None), at: str | None = None,
               example: int = 0, on_stage: OnStage = lambda name, done, total: None) -> None:
    """Write a trace as one HTML file, atomically.

    Args:
      path: of the file.
      trace: of a pass.
      model, shown: what it is of, in words.
      pixel: (row, column) of the image, whose numbers are worked through; None: the middle.
      at: the stage that the page begins with; None: the first.
      example: of the batch, which is shown.
      on_stage: called before each stage with its name, how many are done and of how many.

    Raises:
      OSError: if the file cannot be written.
      ValueError: if there is no such pixel, stage or example.
    """
    page = html_page(trace, model, shown, pixel=pixel, at=at, example=example, on_stage=on_stage)
    write_atomically(Path(path), page.encode())


def html_page(trace: Trace, model: str, shown: str, *,
              pixel: tuple[int | None, int | None] = (None, None), at: str | None = None,
              example: int = 0,
              on_stage: OnStage = lambda name, done, total: None) -> str:
    """The page; see `write_page`."""
    environment = Environment(
        loader=PrefixLoader({"explain": PackageLoader("refglow.explain", "templates"),
                             "report": PackageLoader("refglow.validation.report", "templates")}),
        autoescape=True, undefined=StrictUndefined, finalize=visible, trim_blocks=True,
        lstrip_blocks=True)
    environment.filters |= {"figure": figure, "shape": shape}
    script = _script()
    steps = _steps(trace, pixel, example, on_stage)
    runnings = [trace.started, *(stage.running for stage in trace.stages)]
    return environment.get_template("explain/page.html").render(
        trace=trace, model=model, shown=shown, steps=steps, example=example,
        first=0 if at is None else trace.position(at) + 1, version=__version__,
        statistics=[_statistics(stage, example) for stage in trace.stages],
        waterfall=waterfall([float(stage.log_det[example]) for stage in trace.stages]),
        line=line_of([float(running.total[example]) for running in runnings]),
        blocks=_blocks(trace), bits=steps[-1]["bits"],
        log_det=_nats(trace.log_det[example], "{:.6g}".format), script=Markup(script),
        script_source=policy_source(script), data=json_in_script(steps))


def _script() -> str:
    source = Path(__file__).parent / "templates" / "explain.js"
    return "\n" + source.read_text(encoding="utf-8")


def _blocks(trace: Trace) -> list[tuple[str, float]]:
    """(name, share of the charts' width in per cent) of each block."""
    heads = [stage.name.partition(".")[0] for stage in trace.stages]
    runs = [(name, len(list(run))) for name, run in groupby(heads)]
    return [(name, round(100 * count / len(heads), 3)) for name, count in runs]


def _steps(trace: Trace, pixel: tuple[int | None, int | None], example: int,
           on_stage: OnStage) -> list[dict[str, Any]]:
    """What the page shows at each place of the slider, as text."""
    count = len(trace.stages)
    budget = max(_LEAST_OF_PICTURE, _BYTES_OF_PICTURES // (count + 1))
    most = MOST if count <= _MANY else _MOST_OF_MANY
    start = trace.start[example]
    first: dict[str, Any] = {
        "name": "image" if trace.to_latent else "latents", "title": "What goes in",
        "words": "The image, as the model takes it: from -1/2 (black) to 1/2 (white)."
        if trace.to_latent else "The latent vector, of as many numbers as the image.",
        "maths": "", "log_det_maths": "", "shape": shape(start.shape), "carried": "",
        "log_det": "", "condition": "", "condition_how": "", "worked": None,
        "statistics": _listed(statistics_of(start[None])),
        **_bits(trace.started, example), **_picture(start, budget)}
    steps = [first]
    for k, stage in enumerate(trace.stages):
        on_stage(stage.name, k, count)
        numbers = worked(trace, stage.name, *pixel, example=example, most=most)
        steps.append({**_step(stage, example),
                      **_picture(stage.active_output[example], budget),
                      "worked": {"where": numbers.where,
                                 "sections": [[visible(one.title), list(map(visible, one.lines))]
                                              for one in numbers.sections]}})
    return steps


def _step(stage: Stage, example: int) -> dict[str, Any]:
    return {
        "name": stage.name, "title": stage.title, "words": visible(stage.words),
        "maths": visible(stage.maths), "log_det_maths": visible(stage.log_det_maths),
        "shape": f"{shape(stage.shape_in)} \u2192 {shape(stage.shape_out)}",
        "carried": carried(stage),
        "log_det": _nats(stage.log_det[example]), **_bits(stage.running, example),
        "condition": condition(stage.condition[example:example + 1]),
        "condition_how": stage.condition_how,
        "statistics": _listed(_statistics(stage, example))}


def _statistics(stage: Stage, example: int) -> Statistics:
    """Of the example that is shown: a stage's own are of all."""
    return statistics_of(stage.active_output[example:example + 1])


def _listed(found: Statistics) -> list[list[str]]:
    """Pairs of a name and a number, as text."""
    if np.isnan(found.least):
        return [["not finite", f"all {found.not_finite}"]]
    return [["least", figure(found.least) + found.in_channel(found.least_channel)],
            ["largest", figure(found.largest) + found.in_channel(found.largest_channel)],
            ["mean", figure(found.mean)], ["standard deviation", figure(found.deviation)],
            *([["not finite", str(found.not_finite)]] if found.not_finite else [])]


def _nats(log_det: float, written: Callable[[float], str] = figure) -> str:
    return f"{written(float(log_det))} nats" if np.isfinite(log_det) else figure(np.nan)


def _bits(running: Running, example: int) -> dict[str, str]:
    parts = {"bits": running.total, "prior": running.prior, "paid": running.log_dets}
    return {name: f"{float(values[example]):.4f}" if np.isfinite(values[example])
            else "not finite" for name, values in parts.items()}


def _picture(tensor: Array, budget: int) -> dict[str, Any]:
    """The tensor's picture, and of one that is an image the image itself."""
    drawn = picture_of(tensor, budget)
    count, height, width = drawn.levels.shape
    rgb = None
    if tensor.ndim == 3 and tensor.shape[-1] in (1, 3):
        colours = colours_of(tensor, _MOST_PIXELS)
        rgb = {"levels": _text(colours), "height": colours.shape[0], "width": colours.shape[1]}
    return {"picture": {"levels": _text(drawn.levels), "count": count, "height": height,
                        "width": width, "columns": drawn.columns, "channels": drawn.channels,
                        "limit": figure(drawn.limit), "left_out": drawn.left_out, "rgb": rgb,
                        "vector": tensor.ndim == 1}}


def _text(numbers: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")
