"""Mistakes in what follows what: layers in a step, steps in a block, blocks, whose weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

from refglow.validation.mutants.mutant import Mutant, changed
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Tensor
from refglow.validation.mutants.walk import Run


class BlocksReversed(PortedGlow):
    """Block 0 is taken to be next to the image, where the weights' shapes allow it."""

    def step_place(self, i: int, j: int) -> str:
        """The weights of block n - 1 - i."""
        return self._mirrored(f"block{i}.step{j}", i)

    def exit_place(self, i: int) -> str:
        """The weights of exit n - 1 - i."""
        return self._mirrored(f"block{i}.exit", i)

    def _mirrored(self, place: str, i: int) -> str:
        other = place.replace(f"block{i}", f"block{self.num_blocks - 1 - i}")
        shapes = [{name.removeprefix(which): value.shape for name, value in self.parameters.items()
                   if name.startswith(f"{which}.")} for which in (place, other)]
        return other if shapes[0] == shapes[1] else place


class OneStepMissing(PortedGlow):
    """The loop over steps ends one too early: the last step before the latent is missing."""

    def step_layer(self, kind: str) -> Callable[[Run, int, int, Tensor, bool], Tensor]:
        """The layer, or for step 0 of a longer block nothing."""
        layer = super().step_layer(kind)

        def applied(run: Run, i: int, j: int, x: Tensor, encode: bool) -> Tensor:
            return x if j == 0 and self.num_steps > 1 else layer(run, i, j, x, encode)
        return applied


class StepsForwardsBothWays(PortedGlow):
    """The way back takes the steps in the order of the way there."""

    def step_place(self, i: int, j: int) -> str:
        """Whose weights: those of the step at the other end, on the way back."""
        return super().step_place(i, self.num_steps - 1 - j if self._way_back else j)

    _way_back = False

    def decoded(self, run: Run, latents: list[Tensor]) -> Tensor:
        """The images, through the steps in the wrong order."""
        self._way_back = True
        try:
            return super().decoded(run, latents)
        finally:
            self._way_back = False


def _ordered(order: tuple[str, ...]) -> Any:
    return changed(step_order=lambda self: order)


_RIGHT = ("actnorm", "conv", "coupling")
_ORIGIN = {"coupling actnorm conv": "FrEIA AllInOneBlock: coupling, global affine, permutation",
           "coupling conv actnorm": "classic: the steps of forward taken for those of inverse"}


def _order_mutant(order: tuple[str, ...]) -> Mutant:
    key, layer = " ".join(order), "conv" if order[0] == "actnorm" else "actnorm"
    return Mutant(f"order-{'-'.join(order)}", f"A step is {', '.join(order)}, towards the latent.",
                  _ORIGIN.get(key, "classic"), (f"step_order={key}",), layer, _ordered(order))


MUTANTS = (
    *(_order_mutant(order) for order in permutations(_RIGHT) if order != _RIGHT),
    Mutant("steps-reversed", "Step 0 is taken for the one next to the image.",
           "classic: refglow and TFP count in forward's order", ("steps=reversed",), "actnorm",
           changed(step_place=lambda self, i, j: f"block{i}.step{self.num_steps - 1 - j}")),
    Mutant("blocks-reversed", "Block 0 is taken for the one next to the image.",
           "classic: most projects count from the image", ("blocks=reversed",), "actnorm",
           BlocksReversed),
    Mutant("steps-share-weights", "All steps of a block use step 0's weights: one module, repeated "
           "in a list.", "classic: [step] * num_steps", ("steps=all of them step 0's",), "actnorm",
           changed(step_place=lambda self, i, j: f"block{i}.step0")),
    Mutant("step-missing", "The loop over steps ends one too early.", "classic",
           ("steps=last one left out",), "actnorm",
           OneStepMissing),
    Mutant("steps-not-reversed-back", "The way back takes the steps in the order of the way there.",
           "classic", ("steps=reversed",), "", StepsForwardsBothWays),
)
