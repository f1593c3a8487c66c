"""What is promised of every kernel's compiled code, and which promises a compiled kernel breaks."""

from refglow.kernels.bench.devices import architecture
from refglow.kernels.bench.occupancy import occupancy


def broken_promises(kernel, dtype, launch, compiled):
    """Sentences; none for a kernel that keeps its promises.

    Args:
      kernel: the record.
      dtype: the number type of the data it is compiled for.
      launch: one that it occurs in.
      compiled: for one architecture.
    """
    x, y, z = launch.block
    share = occupancy(architecture(compiled.architecture), x * y * z, compiled.registers,
                      compiled.shared_bytes + launch.shared_bytes).share
    broken = []
    if compiled.spill_stores or compiled.spill_loads:
        broken.append(f"spills: {compiled.spill_stores} bytes stored, {compiled.spill_loads} read")
    if compiled.local_bytes:
        broken.append(f"uses {compiled.local_bytes} bytes of local memory")
    if dtype != "float64" and compiled.float64_instructions:
        broken.append(f"has float64 instructions: {sorted(set(compiled.float64_instructions))}")
    if kernel.vectorized and not (compiled.vector_loads and compiled.vector_stores):
        broken.append(f"is called vectorized, with {compiled.vector_loads} loads and "
                      f"{compiled.vector_stores} stores of 16 bytes")
    if share < kernel.occupancy:
        broken.append(f"promises an occupancy of {kernel.occupancy}, and has {share} "
                      f"({compiled.registers} registers, {compiled.shared_bytes} + "
                      f"{launch.shared_bytes} bytes of shared memory)")
    return broken
