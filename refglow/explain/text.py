"""Numbers and a trace as plain text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from refglow.dtypes import Array

if TYPE_CHECKING:
    from refglow.explain.record import Stage, Trace

_MOST_LINES = 24  # of the short table


def figure(value: float) -> str:
    """A number in eight characters or so: "0.1235", "-123456", "2.3e+09", "not finite"."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    if 1e4 <= abs(value) < 1e7:  # the log-det of a large image: to the nat
        return f"{value:.0f}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def condition(values: Array) -> str:
    """The largest condition over the examples; "-" where it was not measured."""
    largest = float(np.max(values))
    if math.isnan(largest):
        return "-"
    return "inf" if math.isinf(largest) else f"{largest:.3g}"


def carried(stage: Stage) -> str:
    """How many of a stage's channels it leaves alone, in words; "" if none."""
    channels = stage.shape_out[-1] - stage.active if len(stage.shape_out) == 3 else 0
    return f"{channels} of the channels belong to finer scales" if channels else ""


def shape(sizes: tuple[int, ...]) -> str:
    """A shape: "16x16x12"."""
    return "x".join(map(str, sizes))


def short_table(trace: Trace) -> str:
    """A trace in some twenty lines; log-dets and bits per dimension are means over the examples."""
    stages = trace.stages
    shown = list(range(len(stages)))
    if len(shown) > _MOST_LINES:
        half = _MOST_LINES // 2
        shown = [*shown[:half], *shown[-half:]]
    width = max(len(name) for name in trace.names)
    head = (f"{'stage':{width}}  {'shape':>10}  {'log-det':>10}  {'bits/dim':>9}  {'cond':>8}  "
            f"{'min':>9}  {'max':>9}")
    way = "image to latent" if trace.to_latent else "latent to image"
    lines = [f"Trace, {trace.direction} ({way}), {len(trace.start)} "
             f"example{'s' if len(trace.start) > 1 else ''}", head,
             f"{'start':{width}}  {shape(tuple(trace.start.shape[1:])):>10}  {'':>10}  "
             f"{np.mean(trace.started.total):>9.4f}"]
    for before, k in zip([-1, *shown], shown, strict=False):
        if k != before + 1:
            lines.append(f"... {k - before - 1} more")
        one = stages[k]
        lines.append(f"{one.name:{width}}  {shape(one.shape_out):>10}  "
                     f"{figure(float(np.mean(one.log_det))):>10}  "
                     f"{np.mean(one.running.total):>9.4f}  {condition(one.condition):>8}  "
                     f"{figure(one.statistics.least):>9}  {figure(one.statistics.largest):>9}")
    lines.append(f"log-det {np.mean(trace.log_det):.6g} nats, {np.mean(trace.bits_per_dim):.4f} "
                 "bits/dim" + (", means" if len(trace.start) > 1 else ""))
    return "\n".join(lines)
