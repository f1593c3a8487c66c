"""The port's way through the layers, from image to latent and back, and what it meets there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refglow.validation.mutants.layers import PortedLayers
from refglow.validation.mutants.operations import concatenated
from refglow.validation.mutants.tape import Array, Tape, Tensor


@dataclass
class Run:
    """One evaluation.

    Attributes:
      tape: where it is recorded.
      weights: the parameters on the tape.
      visits: (layer, kind, output, log-det [B] or None) in order.
      starts: ActNorm's parameters, collected where they are to be set from the data; else None.
    """

    tape: Tape
    weights: dict[str, Tensor]
    visits: list[tuple[str, str, Tensor, Tensor | None]] = field(default_factory=list)
    starts: dict[str, Array] | None = None


class PortedWalk(PortedLayers):
    """Blocks of steps, the exits between them, and the latent vector."""

    def __init__(self, architecture: Mapping[str, Any], parameters: Mapping[str, Array]) -> None:
        """Take over a model.

        Args:
          architecture: output_shape (H, W, C); blockwise_splits, [leave, grab, pass] of each block,
            the coarsest first; num_steps_per_block; use_actnorm.
          parameters: the arrays by refglow's names. Their number type is the port's.

        Raises:
          ValueError: if a mistake cannot be made in this model.
        """
        self.image_shape: tuple[int, int, int] = tuple(architecture["output_shape"])
        self.splits = [tuple(split) for split in architecture["blockwise_splits"]]
        self.num_blocks, self.num_steps = len(self.splits), int(architecture["num_steps_per_block"])
        self.use_actnorm = bool(architecture["use_actnorm"])
        self.parameters = {name: np.asarray(value) for name, value in parameters.items()}
        types = [value.dtype for value in self.parameters.values() if value.dtype.kind == "f"]
        self.dtype = types[0] if types else np.dtype(np.float64)
        self.require_possible()

    def require_possible(self) -> None:
        """Nothing: the port itself can be of any model."""

    # ---- image -> latent ----

    def encoded(self, run: Run, x: Tensor) -> list[Tensor]:
        """The latents: what went through all blocks, then what exited, the coarsest first."""
        exited: list[Tensor] = []
        for i in reversed(range(self.num_blocks)):
            x = self.squeeze(x)
            self.visit(run, f"block{i}.squeeze", "squeeze", x, None)
            for j in reversed(range(self.num_steps)):
                for kind in self.step_order():
                    x = self.step_layer(kind)(run, i, j, x, True)
            x, out = self.exit(run, i, x)
            exited.insert(0, out)
        return [x, *exited]

    def step_order(self) -> tuple[str, ...]:
        """The layers of a step, towards the latent."""
        return ("actnorm", "conv", "coupling")

    def step_layer(self, kind: str) -> Callable[[Run, int, int, Tensor, bool], Tensor]:
        """The method for a layer: (run, block, step, x, towards the latent?) -> its output."""
        layers = {"actnorm": self.actnorm, "conv": self.conv, "coupling": self.coupling}
        return layers[kind]

    # ---- latent -> image ----

    def decoded(self, run: Run, latents: list[Tensor]) -> Tensor:
        """The images; the visits' log-dets are those of the way back, to be subtracted."""
        x, *exited = latents
        for i in range(self.num_blocks):
            x = self.unexit(run, i, x, exited[i])
            for j in range(self.num_steps):
                for kind in reversed(self.step_order()):
                    x = self.step_layer(kind)(run, i, j, x, False)
            x = self.unsqueeze(x)
        return x

    # ---- layers ----

    def step_place(self, i: int, j: int) -> str:
        """Whose weights step j of block i uses."""
        return f"block{i}.step{j}"

    def actnorm(self, run: Run, i: int, j: int, x: Tensor, encode: bool) -> Tensor:
        """ActNorm, or nothing where the architecture has none."""
        if not self.use_actnorm:
            return x
        m, v = self.actnorm_parameters(run, f"{self.step_place(i, j)}.actnorm", x, encode)
        apply = self.actnorm_do if encode else self.actnorm_undo
        y = apply(x, m.reshape(-1, 1, 1), v.reshape(-1, 1, 1))
        log_det = self.actnorm_elements(v).sum() * float(self.actnorm_pixels(*x.shape[2:]))
        self.visit(run, f"block{i}.step{j}.actnorm", "actnorm", y, log_det)
        return y

    def actnorm_parameters(self, run: Run, place: str, x: Tensor,
                           encode: bool) -> tuple[Tensor, Tensor]:
        """(m, v) as stored; from the data where they are to be set."""
        if run.starts is not None:
            start = self.actnorm_start(*self.statistics(x.value))
            for name, value in zip(("shift", "log_scale"), start, strict=True):
                run.starts[f"{place}.{name}"] = value.astype(self.dtype)
                run.weights[f"{place}.{name}"] = run.tape.constant(value.astype(x.value.dtype))
        return run.weights[f"{place}.shift"], run.weights[f"{place}.log_scale"]

    def conv(self, run: Run, i: int, j: int, x: Tensor, encode: bool) -> Tensor:
        """The 1x1 convolution."""
        place = f"{self.step_place(i, j)}.conv"
        lower_upper = run.weights[f"{place}.lower_upper"]
        permutation = self.parameters[f"{place}.permutation"]
        matrix = self.matrix(lower_upper, permutation)
        y = self.conv_do(matrix, x) if encode else self.conv_undo(matrix, x)
        log_det = (self.conv_pixel_log_det(lower_upper, permutation)
                   * float(self.conv_pixels(*x.shape[2:])))
        self.visit(run, f"block{i}.step{j}.conv", "conv", y, log_det)
        return y

    def coupling(self, run: Run, i: int, j: int, x: Tensor, encode: bool) -> Tensor:
        """The coupling."""
        seen, transformed = self.halves(x)
        output = self.network(run.weights, f"{self.step_place(i, j)}.coupling", seen)
        apply, log_det = self.affine if encode else self.unaffine, None
        if output.shape[1] == transformed.shape[1]:  # additive
            changed = apply(transformed, one(transformed), output)
        else:
            r, t = self.parts_of(output)
            s, log_s = self.scale(r)
            changed = apply(transformed, s, t)
            log_det = self.coupling_log_det(self.affine_elements(log_s), s, r)
        y = self.joined(seen, changed)
        self.visit(run, f"block{i}.step{j}.coupling", "coupling", y, log_det)
        return y

    def exit(self, run: Run, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """(what goes on, the latents of what exits) at block i."""
        leave, grab, _ = self.splits[i]
        if not leave:
            return x[:, :0], x
        if not grab:
            return x, x[:, :0]
        going_on, exiting = self.exit_halves(x, leave, grab)
        out, log_det = self.exit_applied(run, i, going_on, exiting, True)
        self.visit(run, f"block{i}.exit", "exit", concatenated([going_on, out]), log_det)
        return going_on, out

    def unexit(self, run: Run, i: int, going_on: Tensor, out: Tensor) -> Tensor:
        """What `exit` was given."""
        leave, grab, _ = self.splits[i]
        if not leave or not grab:
            return out if grab else going_on
        exiting, log_det = self.exit_applied(run, i, going_on, out, False)
        x = self.exit_joined(going_on, exiting)
        self.visit(run, f"block{i}.exit", "exit", x, log_det)
        return x

    def exit_place(self, i: int) -> str:
        """Whose weights the exit of block i uses."""
        return f"block{i}.exit"

    def exit_applied(self, run: Run, i: int, going_on: Tensor, x: Tensor,
                     encode: bool) -> tuple[Tensor, Tensor | None]:
        """(the exiting channels transformed, the log-det or None)."""
        output = self.network(run.weights, self.exit_place(i), going_on)
        apply = self.exit_affine if encode else self.exit_unaffine
        if output.shape[1] == x.shape[1]:  # additive
            return apply(x, one(x), output), None
        r, t = self.exit_parts_of(output)
        s, log_s = self.exit_scale(r)
        return apply(x, s, t), self.exit_log_det(self.exit_elements(log_s), s, r)

    # ---- what is kept of a layer ----

    def visit(self, run: Run, name: str, kind: str, output: Tensor,
              log_det: Tensor | None) -> None:
        """Note a layer's output and log-det, broadcast to [B]; an additive layer's is 0."""
        if kind != "squeeze":
            zeros = run.tape.constant(np.zeros(output.shape[0]))
            counted = getattr(self, f"counted_{kind}")
            log_det = zeros if log_det is None else counted(zeros + log_det)
        run.visits.append((name, kind, output, log_det))

    def counted_actnorm(self, log_det: Tensor) -> Tensor:
        """What ActNorm contributes to the whole."""
        return log_det

    def counted_conv(self, log_det: Tensor) -> Tensor:
        """What the 1x1 convolution contributes to the whole."""
        return log_det

    def counted_coupling(self, log_det: Tensor) -> Tensor:
        """What the coupling contributes to the whole."""
        return log_det

    def counted_exit(self, log_det: Tensor) -> Tensor:
        """What the exit contributes to the whole."""
        return log_det


def one(like: Tensor) -> Tensor:
    """The scale of an additive layer."""
    return like.tape.constant(np.ones((), like.value.dtype))
