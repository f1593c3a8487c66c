"""What can be said of every CUDA kernel without a GPU.

Three kinds of evidence, kept apart by their names:

    compiled      registers, shared memory, spills and local memory as the assembler reports them
                  for an architecture, and the occupancy that follows from them
    interpreted   what the compiled PTX did on the example's data, counted by the interpreter:
                  instructions, memory sectors, bank conflicts, divergence
    predicted     the roofline time from datasheet figures: no kernel can be faster; nothing says
                  that this one is as fast

    report = static_report(("sm_80", "sm_90"), kernels=["expand_inverse"])
    report.rows          a flat dict for each launch and architecture, for a table
    report.as_dict()     everything, for JSON
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from refglow.kernels.bench.devices import architecture, gpus_of, roofline_seconds
from refglow.kernels.bench.launch_counts import LaunchCounts, counts_of
from refglow.kernels.bench.occupancy import occupancy
from refglow.kernels.cuda.compile import ARCHITECTURES, CompiledKernel, compile_kernel
from refglow.kernels.cuda.device import stand_in
from refglow.kernels.cuda.kernel import Kernel, Launch, Variant
from refglow.kernels.cuda.registry import launches, variants
from refglow.kernels.cuda.signature import signature_of
from refglow.kernels.cuda.stand_ins import InterpretedDevice

Progress = Callable[[int, int, str], None]  # steps done, of how many, what comes next
INTERPRETED_AS = (8, 0)  # the compute capability that interpreted kernels are compiled for


@dataclass(frozen=True)
class Compiled:
    """A kernel's resources on one architecture, and the occupancy that they allow.

    Attributes:
      registers: of a thread.
      shared_bytes: of a block, static and dynamic.
      spill_bytes: registers that a thread stores to local memory.
      local_bytes: local memory of a thread.
      float64_instructions: how many PTX instructions work on float64.
      vector_loads, vector_stores: how many move 16 bytes of global memory.
      occupancy: resident warps over the most possible.
      limited_by: what allows no more blocks.
    """

    registers: int
    shared_bytes: int
    spill_bytes: int
    local_bytes: int
    float64_instructions: int
    vector_loads: int
    vector_stores: int
    occupancy: float
    limited_by: tuple[str, ...]


@dataclass(frozen=True)
class LaunchReport:
    """One launch of a variant's realistic example.

    Attributes:
      op, variant, dtype: of what.
      kernel: the name of its function.
      grid, block: blocks, and threads of a block, in (x, y, z).
      compiled: by architecture.
      interpreted: what it did; None if it was not interpreted.
    """

    op: str
    variant: str
    dtype: str
    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    compiled: dict[str, Compiled]
    interpreted: LaunchCounts | None


@dataclass(frozen=True)
class VariantReport:
    """One variant of an op in one number type.

    Attributes:
      op, variant, idea, dtype: what it is.
      elements: of the example; figures per element are divided by it.
      bytes_moved, operations: the least bytes, and the floating-point operations, of the example.
      predicted_seconds: by GPU, the roofline time of the example.
      launches: what it launches, in that order.
    """

    op: str
    variant: str
    idea: str
    dtype: str
    elements: int
    bytes_moved: int
    operations: int
    predicted_seconds: dict[str, float]
    launches: tuple[LaunchReport, ...]


@dataclass(frozen=True)
class StaticReport:
    """The report of all variants asked for.

    Attributes:
      architectures: those compiled for.
      variants: one report for each variant and number type.
    """

    architectures: tuple[str, ...]
    variants: tuple[VariantReport, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A flat dict for each launch and architecture, all with the same keys."""
        return [_row(variant, launch, name) for variant in self.variants
                for launch in variant.launches for name in self.architectures]

    def as_dict(self) -> dict[str, Any]:
        """Everything, of dicts, lists, strings and numbers."""
        return {"architectures": list(self.architectures),
                "interpreted_as": "sm_{}{}".format(*INTERPRETED_AS),
                "variants": [asdict(variant) for variant in self.variants]}


def static_report(architectures: Sequence[str] = ARCHITECTURES,
                  kernels: Sequence[str] | None = None, interpret: bool = True,
                  progress: Progress | None = None,
                  dtypes: Sequence[str] | None = None) -> StaticReport:
    """Compile, and interpret, every variant of every CUDA op on its realistic example.

    Args:
      architectures: what to compile for, such as ("sm_80", "sm_90").
      kernels: names of ops; None takes all.
      interpret: whether to run the compiled PTX too; the slow part.
      progress: told before each variant how many are done, of how many, and what comes next.
      dtypes: number types; None takes all that a variant has.

    Raises:
      ValueError: an unknown architecture, or names that fit no variant.
    """
    for name in architectures:
        architecture(name)
    chosen = _chosen(kernels, dtypes)
    compiler = _Compiler()
    reports = []
    for done, (variant, dtype) in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen), f"{variant.op}, {variant.name}, {dtype}")
        reports.append(_variant_report(compiler, variant, dtype, architectures, interpret))
    return StaticReport(tuple(architectures), tuple(reports))


class _Compiler:
    """Compiles each kernel once for each signature and architecture."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[Kernel, tuple[Any, ...], str], CompiledKernel] = {}

    def resources(self, launch: Launch, name: str) -> Compiled:
        """A launch's kernel, compiled for the architecture of that name."""
        key = launch.kernel, signature_of(launch.arguments), name
        if key not in self._compiled:
            self._compiled[key] = compile_kernel(*key)
        kernel = self._compiled[key]
        x, y, z = launch.block
        shared_bytes = kernel.shared_bytes + launch.shared_bytes
        fit = occupancy(architecture(name), x * y * z, kernel.registers, shared_bytes)
        return Compiled(kernel.registers, shared_bytes, kernel.spill_stores, kernel.local_bytes,
                        len(kernel.float64_instructions), kernel.vector_loads,
                        kernel.vector_stores, fit.share, fit.limits)


def _chosen(kernels: Sequence[str] | None,
            dtypes: Sequence[str] | None) -> list[tuple[Variant, str]]:
    every = variants()
    known = sorted({variant.op for variant in every})
    unknown = sorted(set(kernels or ()) - set(known))
    if unknown:
        raise ValueError(f"No CUDA op is called {', '.join(unknown)}; there are "
                         f"{', '.join(known)}.")
    chosen = [(variant, dtype) for variant in every if kernels is None or variant.op in kernels
              for dtype in variant.dtypes if dtypes is None or dtype in dtypes]
    if not chosen:
        raise ValueError(f"No variant is compiled for {', '.join(dtypes or ())}.")
    return chosen


def _variant_report(compiler: _Compiler, variant: Variant, dtype: str,
                    architectures: Sequence[str], interpret: bool) -> VariantReport:
    arguments = variant.example("realistic", dtype)
    elements = variant.elements(*arguments)
    least, operations = variant.bytes_moved(*arguments), variant.operations(*arguments)
    recorded = launches(variant, "realistic", dtype)
    counts = _interpreted(variant, dtype, elements) if interpret else [None] * len(recorded)
    predicted = {gpu.name: roofline_seconds(gpu, least, operations, dtype)
                 for name in architectures for gpu in gpus_of(name)}
    return VariantReport(
        variant.op, variant.name, variant.idea, dtype, elements, least, operations, predicted,
        tuple(LaunchReport(variant.op, variant.name, dtype, launch.kernel.name, launch.grid,
                           launch.block,
                           {name: compiler.resources(launch, name) for name in architectures},
                           count)
              for launch, count in zip(recorded, counts, strict=True)))


def _interpreted(variant: Variant, dtype: str, elements: int) -> list[LaunchCounts | None]:
    """What each launch of the variant's example did."""
    with stand_in(InterpretedDevice(INTERPRETED_AS)) as device:
        variant.run(*variant.example("realistic", dtype))
    return [counts_of(report, elements) for report in device.reports]


def _row(variant: VariantReport, launch: LaunchReport, name: str) -> dict[str, Any]:
    gpu = gpus_of(name)[0]
    seconds = variant.predicted_seconds[gpu.name]
    counts = launch.interpreted
    return {
        "op": launch.op, "variant": launch.variant, "dtype": launch.dtype,
        "kernel": launch.kernel, "architecture": name, **asdict(launch.compiled[name]),
        "bytes_per_element": variant.bytes_moved / variant.elements,
        "operations_per_element": variant.operations / variant.elements,
        "predicted_gpu": gpu.name, "predicted_seconds": seconds,
        "predicted_elements_per_second": variant.elements / seconds,
        **{key: getattr(counts, key, None) for key in LaunchCounts.SUMMARY}}
