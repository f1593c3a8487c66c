"""Checks run in Numba's CUDA simulator, which a process has to be started with.

One worker process serves a whole session of tests. A check is a function at the top of a test's
module; the worker imports that module and calls the function, with `SimulatorDevice` standing in
for a GPU and warnings made errors:

    def check_squeeze(shape): ...                  # asserts, by numpy.testing

    @pytest.mark.simulator
    def test_squeeze(simulated):
        simulated(check_squeeze, (2, 4, 6, 3))
"""

import multiprocessing
import os
import traceback
import warnings

PATIENCE = 120.0  # seconds; a barrier that not all threads reach would wait forever


class Simulator:
    """A worker process with the simulator; called with a check, it runs it there."""

    def __init__(self):
        self.process = None

    def __call__(self, check, *arguments):
        if self.process is None:
            self._start()
        self.connection.send((check, arguments))
        if not self.connection.poll(PATIENCE):
            self.close()
            raise TimeoutError(f"{check.__name__}{arguments} is not done after {PATIENCE:.0f} s.")
        failure = self.connection.recv()
        if failure is not None:
            raise AssertionError(f"In the simulator, {check.__name__}{arguments}:\n{failure}")

    def _start(self):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        before = os.environ.get("NUMBA_ENABLE_CUDASIM")
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"  # read by the child when it imports Numba
        try:
            self.process.start()
        finally:
            if before is None:
                del os.environ["NUMBA_ENABLE_CUDASIM"]
            else:
                os.environ["NUMBA_ENABLE_CUDASIM"] = before
        theirs.close()

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.connection.close()
            self.process = None


def _serve(connection):
    from refglow.kernels.cuda.device import stand_in
    from refglow.kernels.cuda.stand_ins import SimulatorDevice

    warnings.simplefilter("error")
    while True:
        failure = None
        try:
            check, arguments = connection.recv()
            with stand_in(SimulatorDevice()):
                check(*arguments)
        except EOFError:
            return
        except Exception:
            failure = traceback.format_exc()
        connection.send(failure)
