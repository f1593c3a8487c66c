"""FrEIA's networks of invertible modules as a Glow in FrEIA's dialect.

`forward` goes towards the latent. A SequenceINN is a sequence; of a GraphINN (ReversibleGraphNet)
the graph must be one: from the only input through modules with one output, and Splits of which one
side goes on and the other, perhaps flattened, is an output or goes into a Concat at the end.

Source: FrEIA 0.2, framework/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refglow.validation.adapters.freia_blocks import parts_of, squeeze_order
from refglow.validation.adapters.freia_graph import Leaving, chain_of, latent_order
from refglow.validation.adapters.imported import Answers, Imported, re_indexed, reparametrised
from refglow.validation.adapters.levels import Level, Part, assembled
from refglow.validation.adapters.sequence import Sequence
from refglow.validation.dialects.conversion import Conversion, NotRepresentableError
from refglow.validation.dialects.known import FREIA_GLOW


def from_freia(model: Any) -> Imported:
    """The Glow that a FrEIA network is.

    Args:
      model: a SequenceINN, GraphINN or ReversibleGraphNet on images (C, H, W) of
        IRevNetDownsampling and the modules that `freia_blocks` lists; its ActNorms have seen data.

    Raises:
      NotRepresentableError: if it has anything else, or is no sequence of levels; says what and
        why.
    """
    answers, sequence, kinds = Answers(), Sequence(), set()
    dims, chain = _chain(model, answers)
    if len(dims) != 3:
        raise NotRepresentableError.at(f"A network on inputs of shape {dims}",
                                       "Glow's are images (C, H, W).")
    for module, where in chain:
        kind = type(module).__name__
        kinds.add(kind)
        if kind == "IRevNetDownsampling":
            answers.add(where, squeeze=squeeze_order(module))
            sequence.squeeze(where)
        elif isinstance(module, Leaving):
            answers.add(where, exit_half=module.half)
            sequence.leave(module.channels, where)
        elif kind != "Flatten":
            for part in parts_of(module, where, answers):
                sequence.add(part, where)
    levels = _typed(sequence.levels())
    channels, height, width = (int(size) for size in dims)
    glow, added = assembled((height, width, channels), levels, answers.dialect(FREIA_GLOW))
    return Imported(glow, tuple(_conversions(kinds, answers, added)))


def _chain(model: Any, answers: Answers) -> tuple[tuple[int, ...], list[tuple[Any, str]]]:
    """(the input's shape, the modules in order)."""
    if hasattr(model, "node_list"):
        dims, chain = chain_of(model)
        answers.add("the outputs", latents=latent_order(model))
        return dims, chain
    if not hasattr(model, "module_list"):
        raise TypeError(f"from_freia takes a SequenceINN or GraphINN; got {type(model).__name__}.")
    return tuple(model.shapes[0]), [(module, f"module {k}, {type(module).__name__},")
                                    for k, module in enumerate(model.module_list)]


def _typed(levels: list[Level]) -> list[Level]:
    """The levels in the number type of their networks: a permutation has none of its own."""
    found = {value.dtype for level in levels for part in level.parts if part.kind == "coupling"
             for value in part.arrays.values()}
    if len(found) != 1:
        raise NotRepresentableError.at(
            "A network without couplings" if not found else "A network in several number types",
            f"its couplings hold {sorted(map(str, found))}, a Glow's one number type.")
    number_type = found.pop()
    return [Level(tuple(Part(part.kind, {role: np.asarray(value, number_type)
                                         for role, value in part.arrays.items()})
                        for part in level.parts), level.leaving) for level in levels]


def _conversions(kinds: set[str], answers: Answers, added: int) -> Iterator[Conversion]:
    squeeze = answers.get("squeeze") or "c a b"
    yield re_indexed("squeeze", f"[C, 2 h, 2 w] -> [{squeeze}, h, w]", squeeze, "NCHW to NHWC")
    yield re_indexed("kernel", "[out, in, kh, kw]", "as given", "to [kh, kw, in, out]")
    if "ActNorm" in kinds:
        yield re_indexed("actnorm", "exp(scale) x + bias", "x exp(v) + m", "m = bias, v = scale")
    if "PermuteRandom" in kinds:
        yield re_indexed("factors", "x[perm]", "full matrix", "a matrix of zeros and ones")
    if "Fixed1x1Conv" in kinds:
        yield re_indexed("factors", "M^T", "full matrix", "its attribute M, which holds M^T")
    if "AllInOneBlock" in kinds:
        yield reparametrised("actnorm", "Psi(global_scale) x + global_offset", "x exp(v) + m",
                             "v = log Psi(global_scale)")
        yield reparametrised("scale", "a tenth of the subnet's output", "the output itself",
                             "its last kernel and bias times 0.1")
        yield reparametrised("factors", "R, or R times reflections", "full matrix",
                             "multiplied together; its inverse is computed, FrEIA's transposed")
    if added:
        yield re_indexed("step_order", f"{added} steps without a coupling", "each has one",
                         "these steps' couplings add zeros, which is the identity")
