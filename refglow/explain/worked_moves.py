"""Where the numbers of a pixel go in stages that only move them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refglow.explain.equations import result

if TYPE_CHECKING:
    from refglow.explain.pixel import Place

Sections = list[tuple[str, list[str]]]


def squeeze_sections(place: Place) -> Sections:
    """Which four pixels make which channels, or the other way."""
    stage, (row, column) = place.stage, (place.row, place.column)
    fine, coarse = ((stage.input, stage.output) if place.to_latent
                    else (stage.output, stage.input))
    few = max(1, place.most // 4)
    channels = min(fine.shape[-1], stage.active if not place.to_latent else stage.active // 4)
    corners = [(i, j) for i in range(2) for j in range(2)]
    pixels = ", ".join(f"{2 * row + i},{2 * column + j}" for i, j in corners)
    lines = []
    for c in range(min(few, channels)):
        for i, j in corners:
            k = 4 * c + 2 * i + j
            value = result(coarse[place.example, row, column, k])
            one, tile = f"[{row}, {column}, {k}]", f"[{2 * row + i}, {2 * column + j}, {c}]"
            names = (f"y{one} = x{tile}" if place.to_latent else f"y{tile} = x{one}")
            lines.append(f"4 * {c} + 2 * {i} + {j} = {k}:  {names} = {value}")
    left = channels - min(few, channels)
    if left:
        lines.append(f"... and so for {left} more channels of the finer tensor")
    title = (f"The four pixels {pixels} become the channels of pixel {row},{column}"
             if place.to_latent else
             f"The channels of pixel {row},{column} become the four pixels {pixels}")
    return [(title, lines), ("Log-det", ["Numbers are moved, none is changed: 0"])]


def latents_sections(place: Place) -> Sections:
    """Which numbers of the latent vector are a pixel's."""
    stage = place.stage
    vector, tensor = ((stage.output, stage.input) if place.to_latent
                      else (stage.input, stage.output))
    _, _, width, channels = tensor.shape
    lines = []
    for c in range(min(place.most, channels)):
        k = (place.row * width + place.column) * channels + c
        value = result(vector[place.example, k])
        one = f"[{place.row}, {place.column}, {c}]"
        names = f"y[{k}] = x{one}" if place.to_latent else f"y{one} = x[{k}]"
        lines.append(f"({place.row} * {width} + {place.column}) * {channels} + {c} = {k}:  {names} "
                     f"= {value}")
    if channels > place.most:
        lines.append(f"... and so for {channels - place.most} more channels")
    return [("Places in the vector", lines),
            ("Log-det", ["Numbers are moved, none is changed: 0"])]
