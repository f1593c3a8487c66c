"""Layers and the networks of couplings and exits, their weights random in every layer."""

from __future__ import annotations

from collections.abc import Iterator

from refglow.validation.vectors.draws import points, scaled
from refglow.validation.vectors.vector import FORWARD, Vector

_KERNEL: tuple[str, ...] = ("FlippedKernel", "KernelLayout", "PaddingValue", "Gradient")


def _convolutions() -> Iterator[Vector]:
    kernels = [(1, 1), (3, 3), (3, 1), (1, 5), (5, 3)]
    sizes = [(1, 1, 1, 1), (4, 6, 2, 3), (5, 3, 3, 2), (2, 7, 1, 4), (8, 8, 4, 4), (3, 3, 5, 1),
             (6, 10, 3, 5)]
    for kh, kw in kernels:
        for h, w, inputs, outputs in sizes:
            flags: tuple[str, ...] = _KERNEL if kh * kw > 1 else ("KernelLayout", "Gradient")
            if h == w == 1:
                flags = ("SingleChannel", "PaddingValue") if kh * kw > 1 else ("SingleChannel",)
            elif min(inputs, outputs) == 1:
                flags = tuple(flag for flag in flags if flag != "KernelLayout")
            yield Vector(
                f"conv2d-{kh}x{kw}-of-{h}x{w}x{inputs}-to-{outputs}", "Conv2D",
                {"in_channels": inputs, "filters": outputs, "kernel_size": [kh, kw],
                 "padding": "same"}, (2,), (h, w, inputs), flags,
                "Rows, columns and channels of different number; zeros around the image.",
                directions=FORWARD)
    for kh, kw, h, w in ((3, 3, 4, 6), (2, 2, 3, 5), (2, 3, 5, 4), (4, 4, 4, 4)):
        yield Vector(f"conv2d-{kh}x{kw}-valid-of-{h}x{w}", "Conv2D",
                     {"in_channels": 2, "filters": 3, "kernel_size": [kh, kw], "padding": "valid"},
                     (2,), (h, w, 2), ("FlippedKernel", "KernelLayout"),
                     "Without padding: the result is smaller.", directions=FORWARD)
    yield Vector("conv2d-wide", "Conv2D", {"in_channels": 33, "filters": 17, "kernel_size": [3, 3],
                                           "padding": "same"}, (1,), (3, 5, 33),
                 ("Accumulation", "OddSize", "KernelLayout"), "Sums of 297 products.",
                 directions=FORWARD)
    yield Vector("conv2d-cancels", "Conv2D", {"in_channels": 2, "filters": 2, "kernel_size": [3, 3],
                                              "padding": "same"}, (1,), (4, 5, 2),
                 ("Accumulation",), "Pixels around 4096: sums cancel.",
                 scaled(1, centre=4096), directions=FORWARD)


def _others() -> Iterator[Vector]:
    for inputs, units in ((1, 1), (3, 5), (5, 3), (8, 8), (17, 33)):
        yield Vector(f"dense-{inputs}-to-{units}", "Dense",
                     {"in_features": inputs, "units": units}, (3,), (inputs,),
                     ("KernelLayout", "Gradient") if inputs > 1 else ("SingleChannel",),
                     "Sizes that differ, and one square matrix.", directions=FORWARD)
    yield Vector("relu", "ReLU", {}, (2,), (3, 4), ("Activation", "Gradient"), "Both signs.",
                 directions=FORWARD)
    yield Vector("relu-tiny", "ReLU", {}, (1,), (4,), ("Activation", "FlushToZero"),
                 "Subnormal numbers of both signs.",
                 points([2.0**-149, -2.0**-149, 2.0**-126, -2.0**-126]), directions=FORWARD)
    for h, w, c, hidden in ((2, 3, 2, 5), (1, 1, 1, 3), (4, 4, 1, 8), (5, 3, 3, 7), (4, 6, 6, 16),
                            (8, 8, 2, 4), (3, 3, 4, 33)):
        yield Vector(f"couplingnetwork-{h}x{w}x{c}-{hidden}", "CouplingNetwork",
                     {"input_shape": [h, w, c], "num_hidden": hidden}, (2,), (h, w, c),
                     ("ZeroInitBlind", "Activation", "PaddingValue",
                      *(("FlippedKernel",) if h * w > 1 else ())),
                     "Weights random in all three layers.", directions=FORWARD)
    yield Vector("couplingnetwork-of-ones", "CouplingNetwork",
                 {"input_shape": [3, 4, 2], "num_hidden": 5, "kernel_shape": 1}, (2,), (3, 4, 2),
                 ("KernelLayout", "Activation"), "1 x 1 kernels only.", directions=FORWARD)
    for h, w, c, outputs in ((2, 3, 4, 4), (4, 4, 2, 6), (1, 1, 1, 1), (3, 5, 6, 2)):
        yield Vector(f"exitnetwork-{h}x{w}x{c}-{outputs}", "ExitNetwork",
                     {"input_shape": [h, w, c], "output_chan": outputs}, (2,), (h, w, c),
                     ("ZeroInitBlind", "PaddingValue") if h * w > 1 else
                     ("ZeroInitBlind", "SingleChannel"), "A kernel that is not zero.",
                     directions=FORWARD)


NETWORKS: tuple[Vector, ...] = (*_convolutions(), *_others())
