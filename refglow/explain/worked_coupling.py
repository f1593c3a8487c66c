"""A coupling's pixel worked through: what the network is given, what it says, what is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.bijectors.real_nvp import RealNVP
from refglow.dtypes import Array
from refglow.explain.equations import equation, listed, n, rest_note, result, sum_of
from refglow.explain.wording import Coupled, coupled
from refglow.explain.worked_moves import Sections
from refglow.networks.conv2d import Conv2D
from refglow.networks.sequential import Sequential
from refglow.validation.audit.channels import coupling_of

if TYPE_CHECKING:
    from refglow.explain.pixel import Place


def coupling_sections(place: Place) -> Sections:
    """Of a step's coupling or of an exit."""
    coupling = coupling_of(place.layer)
    if coupling is None:
        return [("Nothing is coupled here", ["y = x, for all channels", "Log-det: 0"])]
    alone = place.stage.input[place.example:place.example + 1, ..., :place.stage.active]
    found = coupled(coupling, alone)
    x, y = place.numbers(place.stage.input), place.numbers(place.stage.output)
    first = found.deciding.shape[-1]
    sections = [_given(coupling, first, x, place)]
    if found.form in ("sigmoid", "exp"):
        return [*sections, *_affine(found, first, x, y, place)]
    if found.form == "shift":
        return [*sections, *_additive(found, first, x, y, place)]
    lines = [f"x[{k}] = {result(x[k])}  ->  y[{k}] = {result(y[k])}"
             for k in range(first, len(x))][:place.most]
    return [*sections, (f"The network's bijector, {found.form}, maps b", lines)]


def _given(coupling: RealNVP, first: int, x: list[float], place: Place) -> tuple[str, list[str]]:
    network: Any = getattr(coupling._bijector_fn, "network", None)
    field = _field_of(network)
    around = (f", and at the pixels around it, {field[0]} x {field[1]} in all" if field else "")
    return (f"The network is given a: channels 0 to {first - 1} of this pixel{around}",
            [listed("a", x[:first], place.most),
             f"These channels stay: y[k] = x[k] for k = 0 to {first - 1}"])


def _field_of(network: Any) -> tuple[int, int] | None:
    """How many pixels a network of convolutions looks at for one; None if that is not known."""
    if not isinstance(network, Sequential):
        return None
    kernels = [part.kernel.shape for part in network.layers.values() if isinstance(part, Conv2D)]
    return (1 + sum(kernel[0] - 1 for kernel in kernels),
            1 + sum(kernel[1] - 1 for kernel in kernels))


def _affine(found: Coupled, first: int, x: list[float], y: list[float],
            place: Place) -> Sections:
    r, t = (_of_pixel(found, name, place) for name in ("raw_scale", "shift"))
    scale = found.form
    log_s = (r + 2) if scale == "exp" else -np.logaddexp(0, -(r + 2))
    s = np.exp(log_s)
    shown = range(min(place.most, len(r)))
    scales = [equation(f"s[{first + k}]", f"{scale}({result(r[k])} + 2)", s[k]) for k in shown]
    mapped = [equation(f"y[{first + k}]", _mapped(s[k], x[first + k], t[k], place.to_latent),
                       y[first + k]) for k in shown]
    logs = [equation(f"log s[{first + k}]", f"log({result(s[k])})", log_s[k]) for k in shown]
    rest = f" (the first {place.most} of {len(r)})" if len(r) > place.most else ""
    total = float(log_s.sum())
    note = [text for text in [rest_note(len(r), place.most)] if text]
    return [(f"It says r and t for channels {first} to {first + len(r) - 1}, b{rest}",
             [listed("r", r.tolist(), place.most), listed("t", t.tolist(), place.most)]),
            (f"The scale s = {scale}(r + 2)", scales),
            (f"y = {'s x + t' if place.to_latent else '(x - t) / s'}", mapped),
            ("Log-det: this pixel's share, of the sum over all pixels",
             [*logs, equation("sum of log s", sum_of(log_s.tolist(), place.most), total), *note,
              _whole(place, total)])]


def _mapped(s: float, x: float, t: float, to_latent: bool) -> str:
    return f"{n(s)} * {n(x)} + {n(t)}" if to_latent else f"({result(x)} - {n(t)}) / {n(s)}"


def _additive(found: Coupled, first: int, x: list[float], y: list[float],
              place: Place) -> Sections:
    t = _of_pixel(found, "shift", place)
    sign = "+" if place.to_latent else "-"
    lines = [equation(f"y[{first + k}]", f"{result(x[first + k])} {sign} {n(t[k])}", y[first + k])
             for k in range(min(place.most, len(t)))]
    return [(f"It says t for channels {first} to {first + len(t) - 1}, b",
             [listed("t", t.tolist(), place.most)]),
            (f"y = x {sign} t", lines), ("Log-det", ["A shift changes no volume: 0"])]


def _of_pixel(found: Coupled, name: str, place: Place) -> Array:
    """A parameter of the coupled bijector at the pixel, float64."""
    whole = np.broadcast_to(np.asarray(found.bijector.parameters[name]), found.mapped.shape)
    return np.asarray(whole[0, place.row, place.column].astype(np.float64))


def _whole(place: Place, pixel: float) -> str:
    log_det = float(place.stage.log_det[place.example])
    own, name = (pixel, "ildj") if place.to_latent else (-pixel, "fldj")
    height, width = place.size
    return (f"{name} of the stage, over {height} x {width} pixels: {result(log_det)}; this pixel's "
            f"share is {result(own)}")
