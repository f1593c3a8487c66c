"""Mistakes at the exits: what leaves, the affine map, the scale, the layout."""

from __future__ import annotations

from refglow.validation.mutants.affine_forms import FORMS, LAYOUTS, SCALES
from refglow.validation.mutants.mutant import Change, Mutant, changed
from refglow.validation.mutants.mutants_of_coupling import interleaved
from refglow.validation.mutants.operations import concatenated
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Tensor
from refglow.validation.mutants.walk import Run


class LowExits(PortedGlow):
    """The low channels exit, the high ones go on."""

    def exit_halves(self, x: Tensor, leave: int, grab: int) -> tuple[Tensor, Tensor]:
        """(high, low)."""
        return x[:, grab:], x[:, :grab]

    def exit_joined(self, going_on: Tensor, exiting: Tensor) -> Tensor:
        """[low | high]."""
        return concatenated([exiting, going_on])


class _EverySecondExits(PortedGlow):
    """Every second channel exits; only where one half exits."""

    def require_possible(self) -> None:
        """Raise ValueError where another part than one half exits."""
        for leave, grab, _ in self.splits:
            if leave and grab and leave != grab:
                raise ValueError("Every second channel can exit only where half of them do; here "
                                 f"{grab} exit and {leave} go on.")


class EvenExits(_EverySecondExits):
    """Channels 0, 2, ... exit."""

    def exit_halves(self, x: Tensor, leave: int, grab: int) -> tuple[Tensor, Tensor]:
        """(odd, even)."""
        return x[:, 1::2], x[:, 0::2]

    def exit_joined(self, going_on: Tensor, exiting: Tensor) -> Tensor:
        """Interleaved."""
        return interleaved(exiting, going_on)


class OddExits(_EverySecondExits):
    """Channels 1, 3, ... exit."""

    def exit_halves(self, x: Tensor, leave: int, grab: int) -> tuple[Tensor, Tensor]:
        """(even, odd)."""
        return x[:, 0::2], x[:, 1::2]

    def exit_joined(self, going_on: Tensor, exiting: Tensor) -> Tensor:
        """Interleaved."""
        return interleaved(going_on, exiting)


class Unconditioned(PortedGlow):
    """What exits is taken as it is; the exit networks are not used."""

    def exit_applied(self, run: Run, i: int, going_on: Tensor, x: Tensor,
                     encode: bool) -> tuple[Tensor, Tensor | None]:
        """The exiting channels, unchanged."""
        return x, None


class SeesWhatExits(PortedGlow):
    """The exit network looks at the exiting channels of the image: no way back is known."""

    def exit(self, run: Run, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """What goes on replaces what exits in the network's sight."""
        going_on, out = super().exit(run, i, x)
        leave, grab, _ = self.splits[i]
        if not leave or grab != leave:
            return going_on, out
        del run.visits[-1]
        exiting = x[:, leave:]
        changed_, log_det = self.exit_applied(run, i, exiting, exiting, True)
        self.visit(run, f"block{i}.exit", "exit", concatenated([going_on, changed_]), log_det)
        return going_on, changed_


def _form(name: str) -> Change:
    affine, unaffine, elements = FORMS[name]
    hides = ("exit_scale", "counted_exit") if name == "x + t" else ()
    return changed(hides, exit_affine=affine, exit_unaffine=unaffine, exit_elements=elements)


_AFFINE = (
    ("exit-shift-first", "The shift is added before the scale: s (x + t).", "classic", "s (x + t)"),
    ("exit-shift-subtracted-first", "The exit's map is s (x - t).", "classic", "s (x - t)"),
    ("exit-openai", "The network's output is a mean and a log-deviation: (x - t) / s.",
     "openai/glow, rosinality (tfp#1177)", "(x - t) / s"),
    ("exit-shift-added-scale-divided", "The exit's map is (x + t) / s.", "classic", "(x + t) / s"),
    ("exit-scale-divided", "The scale divides: x / s + t.", "classic", "x / s + t"),
    ("exit-shift-negative", "The shift's sign is wrong: s x - t.", "classic", "s x - t"),
    ("exit-additive", "The exit's scale is not used: x + t.", "classic", "x + t"),
    ("exit-no-shift", "The exit's shift is not used: s x.", "classic", "s x"),
)

_SCALE = (
    ("exit-scale-exp", "The 2 in exp(r + 2) is missing.", "openai/glow, rosinality (tfp#1177)",
     "exp(r)"),
    ("exit-scale-of-the-couplings", "The couplings' scale sigmoid(r + 2) is used at the exits.",
     "classic", "sigmoid(r + 2)"),
    ("exit-scale-sigmoid", "The exit's scale is sigmoid(r).", "classic", "sigmoid(r)"),
    ("exit-scale-softplus", "The exit's scale is softplus(r).", "classic", "softplus(r)"),
    ("exit-scale-exp-tanh", "The exit's log-scale is bounded: exp(tanh(r)).", "classic",
     "exp(tanh(r))"),
    ("exit-scale-sigmoid-plus-1", "The exit's scale is sigmoid(r + 1).", "classic",
     "sigmoid(r + 1)"),
    ("exit-scale-sigmoid-minus-2", "The exit's scale is sigmoid(r - 2).", "classic",
     "sigmoid(r - 2)"),
    ("exit-scale-sigmoid-2r", "The exit's scale is sigmoid(2 r).", "classic", "sigmoid(2 r)"),
    ("exit-scale-nflows", "The exit uses nflows' scale, sigmoid(r + 2) + 1e-3.", "nflows",
     "sigmoid(r + 2) + 0.001"),
    ("exit-scale-exp-atan", "The exit's log-scale is bounded: exp(2 * 0.636 atan(r)).", "FrEIA",
     "exp(1.272 atan(r))"),
    ("exit-scale-all-in-one", "The exit's log-scale is 2 tanh(0.1 r / 2).", "FrEIA AllInOneBlock",
     "exp(2 tanh(r / 10))"),
    ("exit-scale-2-sigmoid", "The exit's scale is 2 sigmoid(r).", "classic", "2 sigmoid(r)"),
    ("exit-scale-linear", "The exit's scale is 1 + r.", "classic", "1 + r"),
)

_LAYOUT = (
    ("exit-layout-exchanged", "The exit network's halves are read as [t, r].",
     "rosinality: halves [mean, logs]", "[t, r]"),
    ("exit-layout-interleaved", "The exit's scale and shift are read in turn: r, t, r, t.",
     "classic", "interleaved r, t"),
    ("exit-layout-openai", "The exit's mean and log-scale are read in turn: t, r, t, r.",
     "openai/glow, chaiyujin, y0ast", "interleaved t, r"),
)

MUTANTS = (
    Mutant("exit-low-half", "The low channels exit and the high ones go on.", "nflows",
           ("exit_half=low exits",), "exit", LowExits),
    Mutant("exit-even-channels", "Channels 0, 2, ... exit.", "classic", ("exit_half=even exits",),
           "exit", EvenExits),
    Mutant("exit-odd-channels", "Channels 1, 3, ... exit.", "classic", ("exit_half=odd exits",),
           "exit", OddExits),
    *(Mutant(name, bug, origin, (f"exit_affine={key}",), "exit", _form(key))
      for name, bug, origin, key in _AFFINE),
    Mutant("exit-left-out", "What exits is not conditioned on what goes on.",
           "normflows, InvertibleNetworks.jl", ("exit_affine=left out",), "exit", Unconditioned),
    *(Mutant(name, bug, origin, (f"exit_scale={key}",), "exit", changed(exit_scale=SCALES[key]))
      for name, bug, origin, key in _SCALE),
    *(Mutant(name, bug, origin, (f"exit_layout={key}",), "exit",
             changed(exit_parts_of=LAYOUTS[key])) for name, bug, origin, key in _LAYOUT),
    Mutant("exit-sees-what-exits", "The exit network looks at what exits, not at what goes on.",
           "classic", (), "exit", SeesWhatExits),
)
