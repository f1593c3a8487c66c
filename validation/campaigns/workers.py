"""Dask's workers: processes of this machine, or those of a cluster by its scheduler's address."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterable, Iterator
from multiprocessing import resource_tracker
from typing import Any

import refglow
from refglow.extras import from_extra
from refglow.validation.campaigns import working
from refglow.validation.strangers.text import one_line

CONNECT_SECONDS = 15.0  # for a scheduler to answer
WORKER_SECONDS = 60.0  # for a cluster to have a worker

# Libraries that sum in another order on another number of threads get one; what a worker and the
# strangers' processes that it starts compute does not depend on how many workers there are.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
               "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# refglow's kernels give the same bits on any number. A worker sets it for itself: here Numba, which
# reads it again and again, would refuse to change the number of threads that it has.
_SHARED_THREADS = "NUMBA_NUM_THREADS"

# A process that takes nearly all of its share of the memory is ended, and started again. (Dask
# would first stop giving it work, for good where the memory is not freed.)
_CONFIG = {"distributed.worker.memory.target": False, "distributed.worker.memory.spill": False,
           "distributed.worker.memory.pause": False, "distributed.worker.memory.terminate": 0.95,
           "distributed.scheduler.allowed-failures": 1}


@contextlib.contextmanager
def local_workers(count: int | None) -> Iterator[Any]:
    """A Dask client of new processes on this machine, which end with the `with`.

    Args:
      count: how many; None: one for each core.

    Raises:
      ImportError: if Dask is missing; says how to install it.
      ValueError: if count is not at least 1.
    """
    dask, distributed = _dask()
    if count is not None and count < 1:
        raise ValueError(f"There must be at least 1 worker; got {count}.")
    cores = dask.system.CPU_COUNT
    workers = cores if count is None else count
    environment = {
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(_ONE_THREAD, "1"),
        "distributed.nanny.environ": {_SHARED_THREADS: str(max(1, cores // workers))}}
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(_CONFIG | environment))
        stack.enter_context(_environment_kept((*_ONE_THREAD, "PYTHONHASHSEED")))
        with _interrupts_held():
            cluster = stack.enter_context(distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, silence_logs=logging.CRITICAL,
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"}))
            client = stack.enter_context(distributed.Client(cluster))
        yield client


@contextlib.contextmanager
def cluster_at(address: str) -> Iterator[Any]:
    """A Dask client of a running cluster.

    Args:
      address: its scheduler's, such as "tcp://host:8786".

    Raises:
      ImportError: if Dask is missing; says how to install it.
      OSError: if nothing answers there, there are no workers, or a worker lacks refglow.
    """
    _, distributed = _dask()
    with _quiet("distributed"):
        try:
            client = distributed.Client(address, timeout=CONNECT_SECONDS)
        except Exception as error:  # whatever answers there need not be a scheduler
            raise OSError(f"No Dask scheduler answers at {address} ({one_line(str(error))}). An "
                          "address is tcp://HOST:PORT, as `dask scheduler` prints it.") from error
        with client:
            _require_refglow(client, address)
            yield client


def _dask() -> tuple[Any, Any]:
    with from_extra("distributed", "A campaign"):
        import dask
        import dask.system
        import distributed
    return dask, distributed


def _require_refglow(client: Any, address: str) -> None:
    """Raise OSError unless there are workers, each with this refglow."""
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise OSError(f"The scheduler at {address} has no workers. Start some on the machines that "
                      f"are to compute: dask worker {address}") from None
    for worker, found in client.run(working.version, on_error="return").items():
        if isinstance(found, Exception):
            raise OSError(f"The worker {worker} cannot run refglow ({one_line(str(found))}). "
                          "Install the same refglow on all machines.")
        if found != refglow.__version__:
            raise OSError(f"The worker {worker} has refglow {found}; here it is "
                          f"{refglow.__version__}. Install the same on all machines.")


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Threads that are started inside it, and their processes, never get Ctrl-C.

    A terminal sends it to all processes; workers that end by it could not be told to stop.
    """
    resource_tracker.ensure_running()  # which would otherwise be started inside, and allow it again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment_kept(names: Iterable[str]) -> Iterator[None]:
    """Dask sets in this process what its workers are to inherit; at the end all is as before."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """What those loggers have to say is said by this package's own errors."""
    loggers = [logging.getLogger(one) for one in logging.root.manager.loggerDict
               if one == name or one.startswith(f"{name}.")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
