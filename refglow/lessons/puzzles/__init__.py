"""Kernel puzzles: Glow's operations as CUDA kernels, one idea in each, for whoever has no GPU.

    from numba import cuda
    from refglow.lessons.puzzles import SHIFT

    SHIFT                       # the task
    def shift(x, t, y): ...
    SHIFT.check(shift)          # right, or what is wrong

They run in Numba's CUDA simulator, in a process of its own. PUZZLES has all, in their order.
"""

from refglow.lessons.puzzles.couplings import COUPLING, COUPLING_VJP
from refglow.lessons.puzzles.maps import ACTNORM, CHANNEL_SHIFT, SHIFT
from refglow.lessons.puzzles.memory import STRIDED_SHIFT, TRANSPOSE, VECTOR_SHIFT
from refglow.lessons.puzzles.moves import SQUEEZE, UNSQUEEZE
from refglow.lessons.puzzles.products import CONVOLUTION, SHARED_CONVOLUTION
from refglow.lessons.puzzles.puzzle import Puzzle
from refglow.lessons.puzzles.sums import LOG_DET, SHIFT_BAR

PUZZLES = (SHIFT, CHANNEL_SHIFT, ACTNORM, SQUEEZE, UNSQUEEZE, STRIDED_SHIFT, VECTOR_SHIFT,
           TRANSPOSE, COUPLING, COUPLING_VJP, LOG_DET, SHIFT_BAR, CONVOLUTION, SHARED_CONVOLUTION)

__all__ = ["ACTNORM", "CHANNEL_SHIFT", "CONVOLUTION", "COUPLING", "COUPLING_VJP", "LOG_DET",
           "PUZZLES", "SHARED_CONVOLUTION", "SHIFT", "SHIFT_BAR", "SQUEEZE", "STRIDED_SHIFT",
           "TRANSPOSE", "UNSQUEEZE", "VECTOR_SHIFT", "Puzzle"]
