"""Mistakes in the coupling: which half decides, the affine map, the scale, the network's layout."""

from __future__ import annotations

from refglow.validation.mutants.affine_forms import FORMS, LAYOUTS, SCALES
from refglow.validation.mutants.mutant import Change, Mutant, changed
from refglow.validation.mutants.networks import Weights
from refglow.validation.mutants.operations import concatenated, exp, log_absolute
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Tensor
from refglow.validation.mutants.walk import Run


class HighHalf(PortedGlow):
    """The high half decides, the low half is transformed."""

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(high, low)."""
        half = x.shape[1] // 2
        return x[:, half:], x[:, :half]

    def joined(self, seen: Tensor, transformed: Tensor) -> Tensor:
        """[low | high]."""
        return concatenated([transformed, seen])


class EvenChannels(PortedGlow):
    """Channels 0, 2, ... decide, the others are transformed."""

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(even, odd)."""
        return x[:, 0::2], x[:, 1::2]

    def joined(self, seen: Tensor, transformed: Tensor) -> Tensor:
        """Interleaved."""
        return interleaved(seen, transformed)


class OddChannels(PortedGlow):
    """Channels 1, 3, ... decide, the others are transformed."""

    def halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(odd, even)."""
        return x[:, 1::2], x[:, 0::2]

    def joined(self, seen: Tensor, transformed: Tensor) -> Tensor:
        """Interleaved."""
        return interleaved(transformed, seen)


class HalvesExchanged(PortedGlow):
    """The halves are put together in the wrong order after the coupling."""

    def coupling(self, run: Run, i: int, j: int, x: Tensor, encode: bool) -> Tensor:
        """The coupling, its halves exchanged on the latent's side."""
        if not encode:
            return super().coupling(run, i, j, exchanged(x), encode)
        y = exchanged(super().coupling(run, i, j, x, encode))
        name, kind, _, log_det = run.visits[-1]
        run.visits[-1] = (name, kind, y, log_det)
        return y


class BothSides(PortedGlow):
    """Both halves are transformed, one after the other, by one network."""

    def coupling(self, run: Run, i: int, j: int, x: Tensor, encode: bool) -> Tensor:
        """The coupling, and once more with the halves in each other's place; or that undone."""
        x = super().coupling(run, i, j, x if encode else exchanged(x), encode)
        _, _, _, first = run.visits.pop()
        x = super().coupling(run, i, j, exchanged(x), encode)
        x = exchanged(x) if encode else x
        name, kind, _, second = run.visits.pop()
        assert first is not None
        assert second is not None
        run.visits.append((name, kind, x, first + second))
        return x


class BothHalvesSeen(PortedGlow):
    """The network sees the half that it transforms as well as the other: not invertible."""

    def coupling(self, run: Run, i: int, j: int, x: Tensor, encode: bool) -> Tensor:
        """The coupling, the network looking at the sum of both halves."""
        self._other = self.halves(x)[1]
        return super().coupling(run, i, j, x, encode)

    def network(self, weights: Weights, place: str, x: Tensor) -> Tensor:
        """The network on the sum."""
        return super().network(weights, place, x + self._other if "coupling" in place else x)


def exchanged(x: Tensor) -> Tensor:
    """The two halves of the channels in each other's place."""
    half = x.shape[1] // 2
    return concatenated([x[:, half:], x[:, :half]])


def interleaved(even: Tensor, odd: Tensor) -> Tensor:
    """The channels of both in turn."""
    batch, c, h, w = even.shape
    pairs = concatenated([even.reshape(batch, c, 1, h, w), odd.reshape(batch, c, 1, h, w)], axis=2)
    return pairs.reshape(batch, 2 * c, h, w)


def _form(name: str) -> Change:
    affine, unaffine, elements = FORMS[name]
    hides = ("scale", "coupling_log_det", "counted_coupling") if name == "x + t" else ()
    return changed(hides, affine=affine, unaffine=unaffine, affine_elements=elements)


_AFFINE = (
    ("coupling-shift-first", "The shift is added before the scale: s (x + t).",
     "openai/glow, rosinality, chaiyujin, y0ast (openai/glow#34)", "s (x + t)"),
    ("coupling-shift-subtracted-first", "The map is s (x - t).", "normflows", "s (x - t)"),
    ("coupling-inverse-map", "The coupling's two directions are exchanged: (x - t) / s.",
     "classic: TFP's RealNVP.forward is Glow's inverse", "(x - t) / s"),
    ("coupling-shift-added-scale-divided", "The map is (x + t) / s, openai's way back.",
     "classic", "(x + t) / s"),
    ("coupling-scale-divided", "The scale divides: x / s + t.", "classic", "x / s + t"),
    ("coupling-shift-negative", "The shift's sign is wrong: s x - t.", "classic", "s x - t"),
    ("coupling-additive", "The scale is computed and not used: x + t.",
     "openai/glow's and rosinality's default", "x + t"),
    ("coupling-scale-divided-shift-negative", "The map is x / s - t.", "classic", "x / s - t"),
    ("coupling-no-shift", "The shift is computed and not used: s x.", "classic", "s x"),
)

_SCALE = (
    ("coupling-scale-sigmoid", "The 2 in sigmoid(r + 2) is missing.", "InvertibleNetworks.jl",
     "sigmoid(r)"),
    ("coupling-scale-sigmoid-plus-1", "The scale is sigmoid(r + 1).", "classic", "sigmoid(r + 1)"),
    ("coupling-scale-sigmoid-minus-2", "The 2 has the wrong sign: sigmoid(r - 2).", "classic",
     "sigmoid(r - 2)"),
    ("coupling-scale-sigmoid-2r", "The 2 multiplies: sigmoid(2 r).", "classic", "sigmoid(2 r)"),
    ("coupling-scale-exp", "The scale is exp(r), as in the paper (openai/glow#62).",
     "normflows AffineCoupling's default", "exp(r)"),
    ("coupling-scale-exp-plus-2", "The exit's scale exp(r + 2) is used in the couplings.",
     "classic", "exp(r + 2)"),
    ("coupling-scale-nflows", "1e-3 is added to the scale.", "nflows", "sigmoid(r + 2) + 0.001"),
    ("coupling-scale-softplus", "The scale is softplus(r).", "classic", "softplus(r)"),
    ("coupling-scale-exp-tanh", "The log-scale is bounded: exp(tanh(r)).", "RealNVP",
     "exp(tanh(r))"),
    ("coupling-scale-exp-atan", "The log-scale is bounded: exp(2 * 0.636 atan(r)).",
     "FrEIA GLOWCouplingBlock", "exp(1.272 atan(r))"),
    ("coupling-scale-all-in-one", "The log-scale is 2 tanh(0.1 r).", "FrEIA AllInOneBlock",
     "exp(2 tanh(r / 10))"),
    ("coupling-scale-offset-outside", "The 2 is added to the sigmoid: sigmoid(r) + 2.", "classic",
     "sigmoid(r) + 2"),
    ("coupling-scale-2-sigmoid", "The scale is 2 sigmoid(r), 1 at the start.", "classic",
     "2 sigmoid(r)"),
    ("coupling-scale-linear", "The scale is 1 + r.", "classic", "1 + r"),
)

_LAYOUT = (
    ("coupling-layout-exchanged", "The network's halves are read as [t, r].", "nflows", "[t, r]"),
    ("coupling-layout-interleaved", "Scale and shift are read from channels in turn: r, t, r, t.",
     "classic", "interleaved r, t"),
    ("coupling-layout-openai", "Shift and scale are read from channels in turn: t, r, t, r.",
     "openai/glow, chaiyujin, y0ast, normflows", "interleaved t, r"),
)

MUTANTS = (
    Mutant("coupling-high-half", "The high half of the channels decides.",
           "InvertibleNetworks.jl; FrEIA's first coupling", ("conditioning=high half",), "coupling",
           HighHalf),
    Mutant("coupling-even-channels", "Channels 0, 2, ... decide: an alternating mask.",
           "nflows with create_alternating_binary_mask", ("conditioning=even channels",),
           "coupling", EvenChannels),
    Mutant("coupling-odd-channels", "Channels 1, 3, ... decide: an alternating mask.",
           "nflows with create_alternating_binary_mask", ("conditioning=odd channels",),
           "coupling", OddChannels),
    *(Mutant(name, bug, origin, (f"affine={key}",), "coupling", _form(key))
      for name, bug, origin, key in _AFFINE),
    *(Mutant(name, bug, origin, (f"scale={key}",), "coupling", changed(scale=SCALES[key]))
      for name, bug, origin, key in _SCALE),
    *(Mutant(name, bug, origin, (f"layout={key}",), "coupling", changed(parts_of=LAYOUTS[key]))
      for name, bug, origin, key in _LAYOUT),
    Mutant("coupling-halves-exchanged", "The halves are joined in the wrong order after the "
           "coupling.", "classic", ("joined=exchanged",), "coupling", HalvesExchanged),
    Mutant("coupling-both-sides", "Both halves are transformed, one after the other, by one "
           "network.", "FrEIA GLOWCouplingBlock, its two networks being one",
           ("sides=both, by one network",), "coupling", BothSides),
    Mutant("coupling-offset-on-the-shift", "The 2 is added to t, not to r.", "classic: the halves "
           "of [r, t] taken for each other",
           ("affine=s x + (t + 2)", "scale=sigmoid(r)"), "coupling", changed(
               scale=SCALES["sigmoid(r)"], affine=lambda self, x, s, t: s * x + (t + 2.0),
               unaffine=lambda self, z, s, t: (z - t - 2.0) / s)),
    Mutant("coupling-sees-all", "The network sees the half that it transforms too, so nothing can "
           "be undone.", "classic", (), "coupling", BothHalvesSeen),
    Mutant("coupling-shift-tenth", "The shift is multiplied by 0.1.", "FrEIA AllInOneBlock",
           ("affine=s x + t / 10",),
           "coupling", changed(affine=lambda self, x, s, t: s * x + t * 0.1,
                               unaffine=lambda self, z, s, t: (z - t * 0.1) / s)),
    Mutant("coupling-scale-squared", "The scale is applied twice, and the log-det counts it once.",
           "classic", ("affine=s^2 x + t",), "coupling", changed(affine=lambda self, x, s,
           t: s * s * x + t,
                                              unaffine=lambda self, z, s, t: (z - t) / (s * s))),
    Mutant("coupling-log-epsilon", "The log-det is the sum of log(s + 0.01), against log(0).",
           "classic", ("log_det_coupling_formula=sum log(s + 0.01)",), "coupling", changed(
               affine_elements=lambda self, log_s: log_absolute(exp(log_s) + 0.01))),
)

