"""What the name of a Glow's layer, such as "block1.step0.conv", says of it."""

from __future__ import annotations


def block_of(name: str) -> int:
    """The number i of the block "block{i}" that a layer, or a parameter of it, belongs to."""
    return int(name.partition(".")[0].removeprefix("block"))


def kind_of(name: str) -> str:
    """What the layer is to its step or block: "conv" for "block1.step0.conv"."""
    return name.rpartition(".")[2]
