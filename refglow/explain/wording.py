"""What each kind of stage does, in words and as a formula, in both directions.

x is what goes in, y what comes out. A coupling's channels are [a | b]: a decides, b is mapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.glow_coupling import ExpAffine, RawAffine
from refglow.bijectors.real_nvp import RealNVP, real_nvp_split
from refglow.bijectors.shift import Shift
from refglow.dtypes import Array

KINDS = {"Expand": "squeeze", "ActivationNormalization": "actnorm", "OneByOneConv": "conv",
         "RealNVP": "coupling", "ExitBijector": "exit", "Reshape": "latents"}


@dataclass(frozen=True)
class Wording:
    """A stage's `title`, `words`, `maths` and `log_det_maths`."""

    title: str
    words: str
    maths: str
    log_det_maths: str


@dataclass(frozen=True)
class Coupled:
    """A coupling at its input.

    Attributes:
      deciding, mapped: [B, h, w, .], a and b.
      bijector: what the network made of a; RealNVP's towards the latent is its `forward`.
    """

    deciding: Array
    mapped: Array
    bijector: Bijector

    @property
    def form(self) -> str:
        """The form: "sigmoid", "exp", "shift", or another bijector's name."""
        if isinstance(self.bijector, RawAffine):
            return "exp" if isinstance(self.bijector, ExpAffine) else "sigmoid"
        return "shift" if isinstance(self.bijector, Shift) else self.bijector.name


def coupled(coupling: RealNVP, part: Array) -> Coupled:
    """A coupling at its input, or as well at its output: a is the same at both.

    Args:
      coupling: of a step or an exit.
      part: [B, h, w, C], its channels.
    """
    deciding, mapped = real_nvp_split(part, coupling._masked_of(part.shape[-1]))
    bijector: Any = coupling._bijector_fn(deciding, mapped.shape[-1])
    return Coupled(deciding, mapped, bijector)


def wording(kind: str, to_latent: bool, form: str = "", sizes: tuple[int, int] = (0, 0)
            ) -> Wording:
    """What a stage does.

    Args:
      kind: of the stage.
      to_latent: the direction.
      form: of a coupling, from `Coupled.form`; "" of an exit that couples nothing.
      sizes: how many channels a and b have, of a coupling; that stay and exit, of an exit.
    """
    if kind == "coupling":
        title = {"sigmoid": "Affine coupling", "shift": "Additive coupling"}.get(form, "Coupling")
        return _coupling(title, f"The first {_counted(sizes[0])}, a, decide how the other "
                         f"{sizes[1]}, b, are scaled and shifted", to_latent, form)
    if kind == "exit":
        return _exit(to_latent, form, *sizes)
    return _PLAIN[kind, to_latent]


def _counted(channels: int) -> str:
    return f"{channels} channel{'' if channels == 1 else 's'}"


def _coupling(title: str, words: str, to_latent: bool, form: str) -> Wording:
    if form == "shift":
        return Wording(title, words.replace("scaled and shifted", "shifted") + ".",
                       f"t = network(a),  y = [a | b {'+' if to_latent else '-'} t]", "0")
    if form not in ("sigmoid", "exp"):
        way = "forward" if to_latent else "inverse"
        return Wording(title, f"{words.replace('scaled and shifted', 'mapped')}: the network "
                       f"makes a bijector of a, {form}.",
                       f"h = network(a),  y = [a | h.{way}(b)]", f"that of h.{way}")
    inner = f"[r | t] = network(a),  s = {form}(r + 2),  y = [a | "
    sign = "" if to_latent else "-"
    return Wording(title, words + ".", inner + ("s b + t]" if to_latent else "(b - t) / s]"),
                   f"{sign}sum of log s over pixels and channels of b")


def _exit(to_latent: bool, form: str, leave: int, grab: int) -> Wording:
    if not grab:
        return Wording("Exit without channels", "No channel exits here.", "y = x", "0")
    if not form:
        return Wording("Exit of all channels", f"All {grab} channels exit here; none stays to "
                       "decide about them.", "y = x", "0")
    words = (f"The last {_counted(grab)}, b, exit to the latent here, scaled and shifted as the "
             f"{leave} that stay, a, decide" if to_latent else
             f"The last {_counted(grab)}, b, which had exited, are taken back, scaled and shifted "
             f"as the {leave} that stayed, a, decide")
    return _coupling("Exit to the latent" if to_latent else "Return from the latent", words,
                     to_latent, form)


_PLAIN = {
    ("squeeze", True): Wording(
        "Squeeze", "Each tile of 2 x 2 pixels becomes one pixel with four times the channels.",
        "y[h, w, 4 c + 2 i + j] = x[2 h + i, 2 w + j, c]", "0"),
    ("squeeze", False): Wording(
        "Expand", "Each pixel becomes a tile of 2 x 2 pixels with a quarter of the channels.",
        "y[2 h + i, 2 w + j, c] = x[h, w, 4 c + 2 i + j]", "0"),
    ("actnorm", True): Wording(
        "ActNorm", "Each channel is shifted and scaled, the same for all pixels.",
        "y = (x + m) exp(v)", "H W sum of v over channels"),
    ("actnorm", False): Wording(
        "ActNorm, undone", "Each channel is scaled and shifted back, the same for all pixels.",
        "y = x exp(-v) - m", "-H W sum of v over channels"),
    ("conv", True): Wording(
        "1x1 convolution", "Each pixel's channels are multiplied by one matrix.",
        "y = W x,  W = P L U", "H W sum of log|U_ii|"),
    ("conv", False): Wording(
        "1x1 convolution, undone",
        "For each pixel the linear system with the matrix is solved, by two substitutions.",
        "y = U^-1 L^-1 P^T x", "-H W sum of log|U_ii|"),
    ("latents", True): Wording(
        "Latent vector", "The tensor, with all that has exited, is read row by row as one vector.",
        "y[(h W + w) C + c] = x[h, w, c]", "0"),
    ("latents", False): Wording(
        "Tensor of the latents", "The latent vector is laid out as the coarsest tensor.",
        "y[h, w, c] = x[(h W + w) C + c]", "0")}
