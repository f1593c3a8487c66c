"""The microbenchmark harness: verify a kernel against its specification, then time it.

    records.py      what is measured: a Case, and the Measurement of one of its variants
    timing.py       the clock, the rounds, minimum, median and spread
    run.py          verify first, then time: one case from beginning to end
    machine.py      the ceilings: copy bandwidth and GEMM rate, measured in the same run
    cuda_clock.py   time on a GPU by CUDA events, and the GPU's ceilings
    environment.py  what ran: processor, threads, versions, environment variables
    report.py       the figures as plain dicts and as rows of a table
    roofline.py     the figures as a picture (of roofline_points.py, drawn by roofline_axes.py)

and the report of the CUDA kernels without a GPU (static_report.py, with devices.py, occupancy.py
and launch_counts.py).

The harness knows nothing of Glow. Who calls it brings the functions to compare, and counts their
bytes.
"""
