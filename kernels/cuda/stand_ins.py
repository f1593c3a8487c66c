"""What stands in for a GPU, with NumPy arrays for CuPy's.

                         runs                   a million threads take    sees
    SimulatorDevice      the Python function    about 1000 s              wrong results
    InterpretedDevice    the compiled PTX       about 1 s                 races, bounds, ... as well
    RecordingDevice      nothing                no time                   what is launched

All of them refuse launches that a GPU would refuse.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from inspect import signature
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from refglow.kernels.cuda.compile import ptx_text
from refglow.kernels.cuda.filled_numpy import POISONED_NUMPY, ZEROED_NUMPY, is_poisoned
from refglow.kernels.cuda.kernel import Dimensions, Kernel, Launch
from refglow.kernels.cuda.launch_limits import checked_launch
from refglow.kernels.cuda.signature import signature_of

if TYPE_CHECKING:
    from refglow.kernels.ptx import Program, Report


class SimulatorDevice:
    """Numba's CUDA simulator: every thread is a Python thread."""

    def __init__(self) -> None:
        """Make sure that this process has the simulator.

        Raises:
          RuntimeError: it was started without.
        """
        from numba import config

        if not config.ENABLE_CUDASIM:
            raise RuntimeError("Numba's CUDA simulator is chosen when Numba is first imported: "
                               "start the process with NUMBA_ENABLE_CUDASIM=1.")

    @property
    def xp(self) -> ModuleType:
        """NumPy, where new memory is poisoned."""
        return POISONED_NUMPY

    def launch(self, kernel: Kernel, grid: Dimensions, block: Dimensions, *arguments: Any,
               shared_bytes: int = 0) -> None:
        """Run a kernel to its end; see `Device.launch`."""
        from refglow.kernels.cuda.simulated_block import simulate

        launch = checked_launch(kernel, grid, block, arguments, shared_bytes)
        if launch is not None:
            simulate(launch)


class InterpretedDevice:
    """The interpreter of PTX: kernels compiled as for a GPU, executed instruction by instruction.

    Attributes:
      reports: of each launch so far, what it did and counted.
    """

    def __init__(self, compute_capability: tuple[int, int] = (8, 0), checks: bool = True) -> None:
        """Start with no reports.

        Args:
          compute_capability: what kernels are compiled for.
          checks: whether races and reads of memory nobody wrote are looked for; it is faster
            without.
        """
        self.compute_capability = compute_capability
        self.checks = checks
        self.reports: list[Report] = []

    @property
    def xp(self) -> ModuleType:
        """NumPy, where new memory is poisoned."""
        return POISONED_NUMPY

    def launch(self, kernel: Kernel, grid: Dimensions, block: Dimensions, *arguments: Any,
               shared_bytes: int = 0) -> None:
        """Interpret a kernel to its end; see `Device.launch`.

        Raises:
          refglow.kernels.ptx.FindingsError: the kernel has a defect, such as a race.
        """
        from refglow.kernels import ptx

        launch = checked_launch(kernel, grid, block, arguments, shared_bytes)
        if launch is None:
            return
        program = _program(kernel, signature_of(arguments), self.compute_capability)
        self.reports.append(ptx.run(
            program, launch.grid, launch.block, arguments, shared_bytes=shared_bytes,
            uninitialised=_unwritten(kernel, arguments), checks=self.checks))


class RecordingDevice:
    """Runs nothing and notes what would be launched.

    Attributes:
      launches: so far, in their order. What they would have written is not written.
    """

    def __init__(self) -> None:
        """Start with no launches."""
        self.launches: list[Launch] = []

    @property
    def xp(self) -> ModuleType:
        """NumPy, where new memory is zero."""
        return ZEROED_NUMPY

    def launch(self, kernel: Kernel, grid: Dimensions, block: Dimensions, *arguments: Any,
               shared_bytes: int = 0) -> None:
        """Note a launch; see `Device.launch`."""
        launch = checked_launch(kernel, grid, block, arguments, shared_bytes)
        if launch is not None:
            self.launches.append(launch)


def _unwritten(kernel: Kernel, arguments: tuple[Any, ...]) -> list[str]:
    """The names of the arrays among the arguments that hold no values yet."""
    names = signature(kernel.function).parameters
    return [name for name, argument in zip(names, arguments, strict=True)
            if isinstance(argument, np.ndarray) and is_poisoned(argument)]


@cache
def _program(kernel: Kernel, types: tuple[Any, ...],
             compute_capability: tuple[int, int]) -> Program:
    from refglow.kernels import ptx

    module = ptx.Module.parse(ptx_text(kernel, types, compute_capability))
    return replace(module.kernel(), name=kernel.name,
                   argument_names=tuple(signature(kernel.function).parameters))
