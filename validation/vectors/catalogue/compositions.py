"""Compositions: chains, blocks of channels, couplings, steps of the flow, exits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refglow.validation.vectors.draws import positive, scaled, uniform
from refglow.validation.vectors.operations import arguments_of_parts
from refglow.validation.vectors.vector import Vector

_COUPLING = ("WrongHalf", "ShiftBeforeScale", "SwappedParams", "ZeroInitBlind", "LogDetSign",
             "LogDetBatch", "Gradient")
_STEP = (*_COUPLING, "StepOrder", "MissingHW", "DroppedTerm", "ScaleOffset", "ScaleFunction",
         "InverseDirection")


def _nested() -> Iterator[Vector]:
    shift = ("Shift", {"parameter_shape": [4]})
    scale = ("Scale", {"parameter_shape": [4]})
    yield Vector("chain-affine", "Chain", {"parts": arguments_of_parts(shift, scale)}, (2,), (3, 4),
                 ("ShiftBeforeScale", "StepOrder", "LogDetBroadcast"),
                 "Scaled, then shifted; in the other order it is another map.")
    yield Vector("chain-four", "Chain", {"parts": arguments_of_parts(
        ("Sigmoid", {}), shift, ("Tanh", {}), scale)}, (2,), (3, 4),
        ("StepOrder", "DroppedTerm", "LogDetSign", "Gradient"), "Four maps, four log-dets.",
        scaled(0.5), params={"scale": scaled(0.25, centre=0.5)})
    yield Vector("chain-of-matrices", "Chain", {"parts": arguments_of_parts(
        ("ScaleMatvecLU", {"channels": 4}), ("ScaleMatvecLU", {"channels": 4}))}, (3,), (4,),
        ("StepOrder", "DroppedTerm", "TransposedW"), "Two matrices that do not commute.")
    for operation, draw in (("Softplus", positive), ("Exp", positive),
                            ("Sigmoid", scaled(0.375, uniform, 0.5))):
        yield Vector(f"invert-{operation.lower()}", "Invert",
                     {"parts": arguments_of_parts((operation, {}))}, (2,), (3, 4),
                     ("InverseDirection", "LogDetSign", "LogBase"),
                     "forward is the part's inverse.", draw)
    yield Vector("invert-affine", "Invert", {"parts": arguments_of_parts(
        ("SigmoidAffine", {"parameter_shape": [4]}))}, (2,), (3, 4),
        ("InverseDirection", "ShiftBeforeScale", "LogDetSign"), "(y - t) / s.")
    yield Vector("blockwise-three", "Blockwise", {"block_sizes": [2, 3, 1], "parts":
                                                  arguments_of_parts(
        ("Exp", {}), ("ScaleMatvecLU", {"channels": 3}), ("Tanh", {}))}, (2,), (6,),
        ("DroppedTerm", "LogDetSign"), "Blocks of 2, 3 and 1 channels.", scaled(0.5))
    yield Vector("blockwise-two", "Blockwise", {"block_sizes": [1, 3], "parts":
                                                arguments_of_parts(
        ("Sigmoid", {}), ("Scale", {"parameter_shape": [3]}))}, (2,), (4,),
        ("DroppedTerm", "Gradient"), "Blocks of unequal size.")


def _joint_maps() -> Iterator[Vector]:
    yield Vector("jointmap-two", "JointMap", {"parts": arguments_of_parts(
        ("Exp", {}), ("ScaleMatvecLU", {"channels": 4}))}, (2,), ((3,), (2, 4)),
        ("DroppedTerm", "Gradient"), "Two arrays of different rank, one log-det.")
    yield Vector("jointmap-three", "JointMap", {"parts": arguments_of_parts(
        ("Tanh", {}), ("Sigmoid", {}), ("Scale", {"parameter_shape": [4]}))}, (3,),
        ((4,), (4,), (4,)), ("PartOrder", "DroppedTerm"),
        "Three arrays of one shape, each mapped otherwise.", scaled(0.5))


def _real_nvps() -> Iterator[Vector]:
    for channels, masked in ((2, 1), (3, 1), (3, 2), (5, 2), (5, -2), (6, 3), (6, -3), (7, 4),
                             (8, -5), (12, 6), (4, 2), (9, 4), (10, -7)):
        for additive in (False, True):
            arguments: dict[str, Any] = {"channels": channels, "hidden_layers": [5],
                                         "num_masked": masked}
            if additive:
                arguments["is_constant_jacobian"] = True
            flags = ("WrongHalf", "ZeroInitBlind", "Gradient") if additive else (
                *_COUPLING, "ScaleFunction")
            if not additive and channels - abs(masked) > 1:
                flags = (*flags, "InterleavedParams")
            if abs(masked) * 2 != channels:
                flags = (*flags, "OddSize")
            kind = "additive" if additive else "affine"
            side = "last" if masked < 0 else "first"
            yield Vector(f"realnvp-{channels}-{side}-{abs(masked)}-{kind}", "RealNVP", arguments,
                         (3,), (channels,), flags,
                         f"The {side} {abs(masked)} of {channels} channels decide.")
    yield Vector("realnvp-deep", "RealNVP", {"channels": 6, "hidden_layers": [8, 5, 3],
                                             "num_masked": 3}, (2,), (6,), _COUPLING,
                 "Four dense layers.")


def _blocks() -> Iterator[Vector]:
    for h, w, c in ((2, 3, 4), (1, 1, 2), (4, 2, 2), (3, 5, 6), (4, 4, 12)):
        for steps in (1, 2, 3):
            for label, more in (("", {}), ("-additive", {"network": "additive"}),
                                ("-no-actnorm", {"use_actnorm": False})):
                arguments = {"input_shape": [h, w, c], "num_steps": steps, "num_hidden": 5} | more
                flags: tuple[str, ...] = _STEP if label != "-additive" else (
                    "WrongHalf", "ZeroInitBlind", "StepOrder", "InverseDirection", "Gradient")
                if label != "-additive" and c > 2:
                    flags = (*flags, "InterleavedParams")
                if h * w == 1:
                    flags = tuple(flag for flag in flags if flag != "MissingHW")
                if h % 2 or w % 2:
                    flags = (*flags, "OddSize")
                if steps == 1 and label == "-no-actnorm":
                    why = "One 1x1 convolution and one coupling."
                else:
                    why = f"{steps} steps of the flow, random weights everywhere."
                yield Vector(f"glowblock-{h}x{w}x{c}-{steps}{label}", "GlowBlock", arguments, (2,),
                             (h, w, c), flags, why)


def _exits() -> Iterator[Vector]:
    for h, w, split in ((2, 3, (3, 3, 2)), (2, 2, (2, 2, 0)), (1, 1, (1, 1, 0)), (4, 3, (6, 6, 0)),
                        (2, 3, (3, 1, 2)), (2, 3, (1, 3, 2)), (2, 3, (4, 0, 2)), (2, 3, (0, 4, 2)),
                        (3, 2, (1, 5, 4))):
        for label, more in (("", {}), ("-additive", {"network": "additive", "num_hidden": 5})):
            if label and 0 in split[:2]:
                continue
            name = "-".join(map(str, split))
            if 0 in split[:2]:
                flags: tuple[str, ...] = ("ExitFraction",)
            elif label:
                flags = ("ExitHalf", "ZeroInitBlind", "Gradient")
            else:
                flags = ("ExitHalf", "ExitForm", "ZeroInitBlind", "ScaleFunction", "ScaleOffset",
                         "ShiftBeforeScale", "SwappedParams", "LogDetSign", "Gradient")
            if split[0] != split[1] and "ExitFraction" not in flags:
                flags = (*flags, "ExitFraction")
            yield Vector(f"exitbijector-{h}x{w}-{name}{label}", "ExitBijector",
                         {"input_shape": [h, w, sum(split)], "split": list(split)} | more, (2,),
                         (h, w, sum(split)), flags,
                         f"{split[0]} channels go on, {split[1]} exit, {split[2]} are left alone.")


COMPOSITIONS: tuple[Vector, ...] = (
    *_nested(), *_joint_maps(), *_real_nvps(), *_blocks(), *_exits())
