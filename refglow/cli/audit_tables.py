"""The audit's report in a terminal, of 80 columns or more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from refglow.cli.messages import say

if TYPE_CHECKING:
    from rich.table import Table

    from refglow.validation.audit import Audit
    from refglow.validation.audit.report import LayerReport
    from refglow.validation.audit.surviving import Surviving
    from refglow.validation.audit.truth import Truth

_WIDE = 110  # columns, from which on the layers' scales are shown
_MOST_LAYERS = 40  # in the table without --all
_WORST = 12
_MOVES = ("Expand", "Reshape")


def print_audit(found: Audit, source: str, seconds: float, all_layers: bool,
                to_stderr: bool) -> None:
    """Print everything.

    Args:
      found: the audit.
      source: the data's name.
      seconds: that it took.
      all_layers: show every layer.
      to_stderr: whether standard output is taken by JSON.
    """
    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console()
    chosen = _chosen(found, all_layers)
    out.print(_layer_table(found, chosen, out.width))
    left_out = len(found.layers) - len(chosen)
    say("kappa: how much relative errors can grow in the layer, on the way to the latent or to the "
        "image. from image, from latent: how much an error at that end can have grown behind the "
        f"layer. {_types(found, out.width)}: the decimal digits that are right behind it in these "
        "number types."
        + (f" {left_out} layers with smaller kappa, or that only move numbers, are left out: "
           "--all shows them." if left_out else ""), to_stderr=to_stderr)
    out.print()
    out.print(_digits_table(found))
    say(_truths(found), to_stderr=to_stderr)
    out.print()
    out.print(_trip_table(found))
    out.print()
    for number, finding in enumerate(found.findings, 1):
        say(f"{number}. {finding.layer}: {finding.text}", to_stderr=to_stderr)
    out.print(_verdict(found), highlight=False)
    say(f"({found.images} test images of {source}, as many samples, seed {found.seed}, "
        f"{seconds:.1f} s.)", to_stderr=to_stderr)


def _chosen(found: Audit, all_layers: bool) -> list[int]:
    """The layers to show: all, those that compute, or of very many the worst and the faulty."""
    if all_layers:
        return list(range(len(found.layers)))
    computing = [k for k, layer in enumerate(found.layers) if layer.kind not in _MOVES]
    if len(computing) <= _MOST_LAYERS:
        return computing
    faulty = {finding.layer for finding in found.findings}
    worst = sorted(computing, key=lambda k: -np.nan_to_num(found.layers[k].condition))[:_WORST]
    return sorted({*worst, *(k for k in computing if found.layers[k].name in faulty)})


def _layer_table(found: Audit, chosen: Sequence[int], width: int) -> Table:
    from rich import box
    from rich.table import Table

    wide, types = width >= _WIDE, _types(found, width)
    by_way = [_shown(found, way, width) for way in (True, False)]
    table = Table(title=f"Layers from image to latent ({found.dtype} model)",
                  title_justify="left", header_style="bold", box=box.SIMPLE_HEAD,
                  show_edge=False, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0))
    table.add_column("layer", no_wrap=True)
    if wide:
        table.add_column("multiplies by", no_wrap=True)
    for header in ("kappa,\nlatent", "kappa,\nimage", "from\nimage", "from\nlatent",
                   f"to latent:\n{types}", f"to image:\n{types}"):
        table.add_column(header, justify="right", no_wrap=True)
    faulty = {finding.layer for finding in found.findings}
    for k in chosen:
        layer = found.layers[k]
        style = "bold red" if layer.name in faulty else ""
        cells = [layer.name, *([_scales(layer)] if wide else []),
                 number(layer.gains.kappa_to_latent), number(layer.gains.kappa_to_image),
                 number(layer.from_image), number(layer.from_latent),
                 _digits(by_way[0], k + 1), _digits(by_way[1], k)]
        table.add_row(*cells, style=style)
    return table


def _shown(found: Audit, to_latent: bool, width: int) -> list[Surviving]:
    """The number types in the table of layers; three fit into a narrow one."""
    return [one for one in found.surviving if one.to_latent == to_latent][
        :None if width >= _WIDE else 3]


def _types(found: Audit, width: int) -> str:
    return "/".join(one.number_type.name.replace("bfloat", "b").replace("float", "")
                    for one in _shown(found, True, width))


def _digits(some: Sequence[Surviving], place: int) -> str:
    return " ".join("-" if np.isnan(one.measured[place]) else f"{one.digits(place):.1f}"
                    for one in some)


def _scales(layer: LayerReport) -> str:
    if layer.scales is None:
        return ""
    least, largest = layer.scales.range
    short = {"sigmoid(r + 2)": "sigmoid", "exp(r + 2)": "exp", "exp(v)": "exp(v)",
             "singular values": "s. values"}
    return f"{short[layer.scales.what]} {number(least)} to {number(largest)}"


def _digits_table(found: Audit) -> Table:
    from rich.table import Table

    table = Table(title="Decimal digits that survive the whole way", title_justify="left",
                  header_style="bold")
    table.add_column("number type", no_wrap=True)
    for header in ("at most", "to latent:\npredicted", "\nmeasured", "to image:\npredicted",
                   "\nmeasured"):
        table.add_column(header, justify="right", no_wrap=True)
    there, back = ([one for one in found.surviving if one.to_latent == way]
                   for way in (True, False))
    for a, b in zip(there, back, strict=True):
        own = a.number_type.name == found.dtype
        figures = ["-" if np.isnan(value) else f"{value:.1f}" for one in (a, b)
                   for value in one.final_digits]
        table.add_row(a.number_type.name + (", its own" if own else ""),
                      f"{a.number_type.digits:.1f}", *figures)
    return table


def _truths(found: Audit) -> str:
    def one(truth: Truth) -> str:
        why = f" ({truth.why})" if truth.why else ""
        return f"{truth.method}{why}, itself right to {truth.error:.0e}"
    there, back = map(one, found.truths)
    text = there if there == back else (f"{there}, on the way to the latent; {back}, on the way to "
                                        "the image")
    return (f"Measured against {text}. Predicted: eps / 2 x the amplification of all roundings. An "
            f"error can grow {number(found.amplification[0])} times on the whole way to the latent "
            f"and {number(found.amplification[1])} times on that to the image."
            + _of_few(found))


def _of_few(found: Audit) -> str:
    """The digits and the growth of the first few, their median and the worst."""
    few = len(found.amplification_of_few[0])
    if few < 2:
        return ""
    ways = []
    for to_latent, grown in zip((True, False), found.amplification_of_few, strict=True):
        digits = "; ".join(f"{one.number_type.name} {one.digits_of_few[0]:.1f}, "
                           f"{one.digits_of_few[1]:.1f}" for one in found.surviving
                           if one.to_latent == to_latent and one.digits_of_few is not None)
        ways.append(f"to the {'latent' if to_latent else 'image'} an error grows "
                    f"{number(float(np.median(grown)))}, {number(max(grown))} times; digits: "
                    f"{digits}")
    return (f" Over the first {few} images and as many samples, median and worst: "
            f"{'. T'.join([ways[0], ways[1][1:]])}.")


def _trip_table(found: Audit) -> Table:
    from rich.table import Table

    table = Table(title=f"There and back in {found.dtype}", title_justify="left",
                  header_style="bold")
    table.add_column("what")
    for header in ("not\nfinite", "largest\nlatent", "largest\nimage", "error", "allowed"):
        table.add_column(header, justify="right")
    table.add_column("verdict")
    for trip in found.trips:
        latent, image = trip.out.largest[-1], trip.out.largest[0]
        table.add_row(trip.name, f"{trip.out.lost} of {trip.count}", number(latent),
                      number(image), number(trip.error), number(trip.limit),
                      "[green]ok[/]" if trip.passed else "[bold red]FAILS[/]")
    return table


def _verdict(found: Audit) -> str:
    if not found.passed:
        failing = "; ".join(trip.name for trip in found.trips if not trip.passed)
        return f"[bold red]Fails in {found.dtype}[/]: {failing}."
    if found.findings:
        return (f"[bold green]Nothing fails in {found.dtype}[/], but each layer listed can lose "
                "over half of its digits.")
    return (f"[bold green]Nothing is wrong[/]: data and samples are finite and survive the way "
            f"there and back in {found.dtype}; no layer alone loses half of its digits.")


def number(value: float | None) -> str:
    """At most five characters: 0.95, 12.3, 4567, 1e+08."""
    if value is None:
        return ""
    if not np.isfinite(value):
        return str(value)
    if value == 0 or 0.01 <= abs(value) < 9999.5:
        return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"
    return f"{value:.0e}"
