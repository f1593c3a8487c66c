"""Processes that each do one job when they are told to, so that contenders can take turns.

TensorFlow, PyTorch and NumPy in one process would fight for the cores; in processes of their own
only one works while the others sleep. A worker is `python -m refglow.validation.bench.worker`,
which reads requests from its standard input and answers on its standard output, both pickled. What
the libraries in it print goes to its standard error, which is kept and shown if it fails.

OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are taken out of the environment of every worker: libraries
are measured as they come, not with settings that suit one of them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

from refglow.kernels.bench.environment import blas_libraries
from refglow.validation.bench.configuration import Configuration
from refglow.validation.bench.contenders import CONTENDERS, Job
from refglow.validation.bench.memory import forget_peak, peak_bytes

UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
WARM_UP = 2  # runs before the first that is timed
_LAST_WORDS = 10.0  # seconds that a process which closed its pipes is given to end
PAUSE = 0.3  # seconds; the threads of the one before go on spinning for a while


def worker_environment() -> dict[str, str]:
    """This process' environment variables without UNSET, and with TensorFlow's chatter off."""
    return {name: value for name, value in os.environ.items() if name not in UNSET} | {
        "TF_CPP_MIN_LOG_LEVEL": "3"}


@contextmanager
def working(name: str, task: str, configuration: Configuration) -> Iterator[Worker]:
    """A process that builds a contender's job; it ends with the context.

    Args:
      name: of a contender in CONTENDERS.
      task: one of its jobs'.
      configuration: of the model and its batch.
    """
    with tempfile.TemporaryFile() as errors, subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, env=worker_environment()) as process:
        try:
            worker = Worker(name, process, errors)
            worker.send((name, task, configuration))
            yield worker
        except BaseException:
            process.kill()
            raise


class Worker:
    """This side of a process that does a job when it is told to."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        """Hold the process, and the file into which it writes its errors."""
        assert process.stdin is not None
        assert process.stdout is not None
        self._name, self._process, self._errors = name, process, errors
        self._requests, self._answers = process.stdin, process.stdout

    def built(self) -> dict[str, Any]:
        """Wait until the job is built and warmed up.

        Returns:
          import_bytes: the peak of resident memory after the imports; built_bytes: what is resident
          after building; peak_bytes: the peak over the first runs; first: the first run's result,
          if it is a number; operations: as the job's; blas: the BLAS libraries in use.
        """
        found: dict[str, Any] = self._receive()
        return found

    def run(self) -> float:
        """Do the job once; the seconds it took."""
        self.send("run")
        return float(self._receive())

    def error(self) -> float:
        """The largest relative error of the job's results."""
        self.send("error")
        return float(self._receive())

    def send(self, message: Any) -> None:
        """Tell it something."""
        try:
            pickle.dump(message, self._requests)
            self._requests.flush()
        except BrokenPipeError:
            self._fail()

    def _receive(self) -> Any:
        try:
            return pickle.load(self._answers)
        except (EOFError, pickle.UnpicklingError):
            self._fail()

    def _fail(self) -> NoReturn:
        try:
            code = self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"The process of {self._name!r} ended (exit code {code}): "
                           f"{lines[-1] if lines else 'it said nothing'}") from None


def _serve() -> None:
    """The worker's side: build, warm up, and answer requests until there are no more."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        pickle.dump(value, answers)
        answers.flush()
    name, task, configuration = pickle.load(requests)
    contender = CONTENDERS[name]
    contender.load()
    imports = peak_bytes()
    job = contender.jobs[task](configuration)
    built = forget_peak()
    first, *_ = [job.run() for _ in range(WARM_UP)]
    answer({"import_bytes": imports, "built_bytes": built,
            "peak_bytes": max(imports, built, peak_bytes()), "operations": job.operations,
            "blas": blas_libraries(),
            "first": float(first) if isinstance(first, float) else None})
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        answer(job.error() if request == "error" else _seconds(job))


def _seconds(job: Job) -> float:
    started = time.perf_counter()
    job.run()
    return time.perf_counter() - started


if __name__ == "__main__":
    _serve()
