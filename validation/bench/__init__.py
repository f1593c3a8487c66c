"""Benchmarks of Glow: its functions one by one, and whole models beside other libraries.

    size.py flow_cases.py network_cases.py    Glow's functions as cases for the harness
    cpu.py                                    their NumPy and Numba variants
    cuda.py cuda_baselines.py                 their CUDA variants, and what CuPy's users would write
    operations.py                             the floating-point operations of a whole Glow
    contenders.py worker.py                   whole models, each in a process of its own
    model.py cold_start.py memory.py          log_prob, sampling, a training step; a first start
    scaling.py                                the cost of a pixel over sizes and batches
    targets.py                                what is to be reached, and whether it was

The harness itself, which knows nothing of Glow, is `refglow.kernels.bench`.
"""
