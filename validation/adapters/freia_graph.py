"""FrEIA's graphs, where they are a chain from which channels leave.

A node's `outputs[k]` is (the node that takes its output k, which of that one's inputs it is). The
chain follows them. Of a Split's two outputs one goes on to a module, the other through Flattens to
an OutputNode or into a Concat; where they end says in which order the latents are given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refglow.validation.dialects.conversion import NotRepresentableError


@dataclass(frozen=True)
class Leaving:
    """In a chain: so many channels leave, and which; `half` is an answer to `exit_half`."""

    channels: int
    half: str


def chain_of(model: Any) -> tuple[tuple[int, ...], list[tuple[Any, str]]]:
    """(the input's shape, [(module or Leaving, its name)] in order, towards the latent).

    Args:
      model: a GraphINN.

    Raises:
      NotRepresentableError: if the graph is not a chain from which channels leave.
    """
    if len(model.in_nodes) != 1 or model.condition_nodes:
        raise NotRepresentableError.at(
            f"A graph with {len(model.in_nodes)} inputs and {len(model.condition_nodes)} "
            "conditions", "Glow has one input, the image.")
    chain: list[tuple[Any, str]] = []
    for node, going_on in _nodes(model):
        where = f"node {node.name!r}, {type(node.module).__name__},"
        if going_on is None:
            if len(node.outputs) != 1 or len(node.inputs) != 1:
                raise NotRepresentableError.at(where, f"it has {len(node.inputs)} inputs and "
                                               f"{len(node.outputs)} outputs; only a Split may.")
            chain.append((node.module, where))
        else:
            half = "high exits" if going_on == 0 else "low exits"
            chain.append((Leaving(int(node.output_dims[1 - going_on][0]), half), where))
    return tuple(model.in_nodes[0].output_dims[0]), chain


def latent_order(model: Any) -> str:
    """The answer to `latents`: the order in which a GraphINN gives them.

    Raises:
      NotRepresentableError: if it is neither finest nor coarsest first.
    """
    places = []
    for node, going_on in _nodes(model):
        if going_on is not None:
            places.append(_place(node, 1 - going_on, model))
    last = [node for node, _ in _nodes(model)][-1:] or [model.in_nodes[0]]
    places.append(_place(last[0], 0, model))
    where = {kind for kind, _ in places}
    positions = [position for _, position in places]
    if len(where) == 1 and positions == list(range(len(positions))):
        return "finest first NCHW"
    if len(where) == 1 and positions == list(range(len(positions)))[::-1]:
        return "coarsest first NCHW"
    raise NotRepresentableError.at(
        f"A graph whose latents, finest first, are its outputs {places}",
        "a dialect has them finest first or coarsest first.")


def _nodes(model: Any) -> list[tuple[Any, int | None]]:
    """(node, which output of a Split goes on) from the input until what goes on is an output."""
    found: list[tuple[Any, int | None]] = []
    node, output = model.in_nodes[0], 0
    while not _ends(node, output):
        node, _ = node.outputs[output]
        output, going_on = 0, None
        if type(node.module).__name__ == "Split":
            going_on = output = _going_on(node)
        found.append((node, going_on))
    return found


def _going_on(node: Any) -> int:
    """Which of a Split's outputs goes on."""
    where = f"node {node.name!r}, a Split,"
    if node.module.dim != 0 or len(node.outputs) != 2:
        raise NotRepresentableError.at(
            where, f"it makes {len(node.outputs)} parts of axis "
            f"{node.module.dim}; an exit makes two of the channels, axis "
            "0.")
    going_on = [k for k in range(2) if not _ends(node, k)]
    if len(going_on) != 1:
        raise NotRepresentableError.at(where, f"{len(going_on)} of its parts go on; of an exit's "
                                       "one does.")
    return going_on[0]


def _ends(node: Any, output: int) -> bool:
    """Whether an output goes, perhaps flattened, to an OutputNode or a Concat."""
    following, _ = node.outputs[output]
    if type(following).__name__ == "OutputNode":
        return True
    kind = type(following.module).__name__
    return kind == "Concat" or (kind == "Flatten" and _ends(following, 0))


def _place(node: Any, output: int, model: Any) -> tuple[str, int]:
    """Where an output ends: ("output", which) or ("Concat", which of its inputs)."""
    following, place = node.outputs[output]
    if type(following).__name__ == "OutputNode":
        return "output", model.out_nodes.index(following)
    if type(following.module).__name__ == "Concat":
        after, _ = following.outputs[0]
        if type(after).__name__ != "OutputNode" or len(model.out_nodes) != 1:
            raise NotRepresentableError.at(
                f"node {following.name!r}, a Concat,", "something follows "
                "it, or there are other outputs; Glow's ends there.")
        return "Concat", place
    return _place(following, 0, model)
