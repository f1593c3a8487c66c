"""Kernels compiled to PTX and to machine code with no driver, and what the compiler reports.

NVVM makes the PTX, as for a launch; nvJitLink's assembler makes the machine code, a cubin, and says
how many registers each thread has and what was spilled. No disassembler is at hand, so statements
about instructions are about PTX: the assembler turns a PTX instruction into machine instructions of
the same number type and, for memory accesses, of the same width.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from importlib import import_module
from typing import Any

from refglow.kernels.cuda.kernel import Kernel

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")

_INSTRUCTION = re.compile(r"^\s*(?:@!?%p\d+\s+)?([a-z][a-z0-9_]*(?:[.:][a-zA-Z0-9_]+)*)\s.*;",
                          re.MULTILINE)
_STATIC_SHARED = re.compile(
    r"^\s*(?:\.visible )?\.shared \.align \d+ \.[bus](\d+) [^\[;]+\[(\d+)\];", re.MULTILINE)
_16_BYTES_OR_MORE = re.compile(
    r"\.v[48]\.[bfus]32$|\.v[24]\.[bfus]64$|\.v8\.[bfus]16$|\.b128$")


class CompilationError(RuntimeError):
    """The assembler refused a kernel's PTX, or its report cannot be read."""


@dataclass(frozen=True)
class CompiledKernel:
    """A kernel compiled for one architecture.

    Attributes:
      name: the kernel's name.
      architecture: such as "sm_80".
      ptx: its PTX text.
      cubin: its machine code, an ELF file.
      report: the assembler's report.
      registers: of each thread, 32 bits each.
      shared_bytes: static shared memory of a block.
      local_bytes: local memory of a thread (its stack frame).
      spill_stores, spill_loads: bytes of registers that a thread writes to and reads from local
        memory because there are too few registers.
    """

    name: str
    architecture: str
    ptx: str
    cubin: bytes
    report: str
    registers: int
    shared_bytes: int
    local_bytes: int
    spill_stores: int
    spill_loads: int

    @cached_property
    def instructions(self) -> tuple[str, ...]:
        """The PTX instructions in the order of the text, with their modifiers: "ld.global.f32"."""
        return tuple(_INSTRUCTION.findall(self.ptx))

    @property
    def float64_instructions(self) -> tuple[str, ...]:
        """The instructions that have float64 numbers for operands or results."""
        return tuple(name for name in self.instructions if "f64" in name.split("."))

    @property
    def vector_loads(self) -> int:
        """How many instructions read 16 bytes or more of global memory."""
        return self._vector_accesses("ld")

    @property
    def vector_stores(self) -> int:
        """How many instructions write 16 bytes or more of global memory."""
        return self._vector_accesses("st")

    def _vector_accesses(self, opcode: str) -> int:
        return sum(_16_BYTES_OR_MORE.search(name) is not None for name in self.instructions
                   if name.startswith(f"{opcode}.global."))


def compile_kernel(kernel: Kernel, signature: tuple[Any, ...],
                   architecture: str) -> CompiledKernel:
    """A kernel compiled for an architecture; no GPU or driver is needed.

    Args:
      kernel: what to compile.
      signature: the Numba types of its arguments (`signature_of`).
      architecture: one of ARCHITECTURES.

    Raises:
      ValueError: an unknown architecture.
      CompilationError: the assembler refused.
    """
    ptx = ptx_text(kernel, signature, _compute_capability(architecture))
    cubin, report = _assembled(kernel, ptx, architecture)
    registers, stack, spill_stores, spill_loads = _resources(kernel, report)
    shared = sum(int(bits) // 8 * int(count) for bits, count in _STATIC_SHARED.findall(ptx))
    return CompiledKernel(kernel.name, architecture, ptx, cubin, report, registers, shared, stack,
                          spill_stores, spill_loads)


@cache
def ptx_text(kernel: Kernel, signature: tuple[Any, ...],
             compute_capability: tuple[int, int]) -> str:
    """The PTX of a kernel, with the lines of its source, as Numba compiles it for a launch.

    Args:
      kernel, signature: as for `compile_kernel`.
      compute_capability: such as (8, 0).
    """
    text, = _code_library(kernel, signature).get_asm_strs(cc=compute_capability)
    return str(text)


@lru_cache(maxsize=8)
def _code_library(kernel: Kernel, signature: tuple[Any, ...]) -> Any:
    """A kernel in LLVM's language, from which NVVM makes the PTX of each compute capability.

    `cuda.compile` does both steps at once. The first takes nine tenths of the time, and asks about
    the capability only whether it is at least 6.0, and 7.5 for tanh: below all of ARCHITECTURES.
    """
    compiler = import_module("numba.cuda.compiler")
    library, _ = compiler._compile_pyfunc_with_fixup(
        kernel.function, signature, device=False, abi="numba",
        cc=_compute_capability(ARCHITECTURES[0]), lineinfo=True, **compile_options(kernel))
    return library


def compile_options(kernel: Kernel) -> dict[str, Any]:
    """The options of Numba's compiler that a kernel asks for."""
    return {} if kernel.launch_bounds is None else {"launch_bounds": kernel.launch_bounds}


def _compute_capability(architecture: str) -> tuple[int, int]:
    if architecture not in ARCHITECTURES:
        raise ValueError(f"{architecture!r} is no architecture known here: "
                         f"{', '.join(ARCHITECTURES)}")
    digits = architecture.removeprefix("sm_")
    return int(digits[:-1]), int(digits[-1])


def _assembled(kernel: Kernel, ptx: str, architecture: str) -> tuple[bytes, str]:
    core = import_module("cuda.core")
    options = core.LinkerOptions(arch=architecture, ptxas_options=["-v"])
    try:
        linker = core.Linker(core.ObjectCode.from_ptx(ptx.encode()), options=options)
        cubin = bytes(linker.link("cubin").code)
    except Exception as error:  # the linker's own error type is not public
        raise CompilationError(f"{kernel.name}: the assembler refused the PTX for {architecture}: "
                               f"{error}") from error
    return cubin, str(linker.get_info_log())


def _resources(kernel: Kernel, report: str) -> tuple[int, int, int, int]:
    """Registers, bytes of stack frame, bytes of spill stores and of spill loads."""
    registers = re.findall(r"Used (\d+) registers", report)
    memory = re.findall(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", report)
    if len(registers) != 1 or len(memory) != 1:
        raise CompilationError(f"{kernel.name}: the assembler's report is not about one kernel:\n"
                               f"{report}")
    stack, stores, loads = memory[0]
    return int(registers[0]), int(stack), int(stores), int(loads)
