"""From the numbers of items to their outcomes, in whatever order they come."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterable, Iterator
from typing import Any

from refglow.validation.campaigns.campaign import Campaign, Outcome, settings_of
from refglow.validation.campaigns.workers import WORKER_SECONDS
from refglow.validation.campaigns.working import worked
from refglow.validation.implementations.calls import reason_of
from refglow.validation.strangers.text import one_line

_IN_FLIGHT = 2  # items for each thread of a worker: one that runs and one that waits
_LOOK = 1.0  # seconds between two looks at whether there are workers

ENDS_WORKERS = ("ended the process of every worker that it ran on, alone at the end too (killed, "
                "crashed or out of memory)")


def computed(campaign: Campaign, indices: Iterable[int], client: Any) -> Iterator[Outcome]:
    """Compute items on a client's workers.

    Dask gives an item to another worker when its worker dies, and gives up after some deaths; it
    cannot know which of the items that the worker held was to blame. So these are computed again at
    the end, one at a time: what then ends its workers has failed.

    Args:
      campaign: the campaign.
      indices: of the items.
      client: of Dask.

    Raises:
      OSError: if the scheduler or all workers are gone.
    """
    suspects: list[int] = []
    settings = json.dumps(settings_of(campaign))
    for outcome in _InFlight(client, settings).outcomes(indices):
        if outcome.failed == ENDS_WORKERS:
            suspects.append(outcome.index)
        else:
            yield outcome
    for index in sorted(suspects):
        yield from _InFlight(client, settings).outcomes([index])


class _InFlight:
    """The items that the scheduler knows of: few at a time, however many there are."""

    def __init__(self, client: Any, settings: str) -> None:
        self._client, self._settings = client, settings
        self._running: dict[Any, int] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._last_seen = time.monotonic()

    def outcomes(self, indices: Iterable[int]) -> Iterator[Outcome]:
        """All outcomes, as they come."""
        waiting = iter(indices)
        more = True
        try:
            while more or self._running:
                room = max(1, _IN_FLIGHT * self._threads())
                while more and len(self._running) < room:
                    index = next(waiting, None)
                    more = index is not None
                    if index is not None:
                        self._submit(index)
                if self._running:
                    yield from self._next()
        finally:
            for future in self._running:
                future.release()

    def _submit(self, index: int) -> None:
        future = self._client.submit(worked, self._settings, index, pure=False)
        self._running[future] = index
        future.add_done_callback(self._done.put)

    def _next(self) -> Iterator[Outcome]:
        """One outcome; none if there is none soon."""
        try:
            future = self._done.get(timeout=_LOOK)
        except queue.Empty:
            return
        index = self._running.pop(future)
        outcome = self._outcome(index, future)
        future.release()
        yield outcome

    def _outcome(self, index: int, future: Any) -> Outcome:
        """What became of an item that is done.

        Raises:
          OSError: if the scheduler or all workers are gone.
        """
        from distributed.scheduler import KilledWorker

        while not future.cancelled():
            try:
                found = future.result(timeout=_LOOK)
                return Outcome(index, found.get("result"), found.get("failed", ""))
            except TimeoutError:  # its worker has died since, and another computes it again
                self._threads()
            except KilledWorker:
                return Outcome(index, None, ENDS_WORKERS)
            except Exception as error:
                if not future.cancelled():
                    return Outcome(index, None, one_line(reason_of(error)))
        raise _gone(None)

    def _threads(self) -> int:
        """Of all workers now.

        Raises:
          OSError: if there has been no worker for a while, or there is no scheduler.
        """
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, ValueError, AttributeError) as error:
            raise _gone(error) from error
        if threads:
            self._last_seen = time.monotonic()
        elif time.monotonic() - self._last_seen > WORKER_SECONDS:
            raise OSError(f"There has been no Dask worker for {WORKER_SECONDS:g} s.")
        return int(threads)


def _gone(error: BaseException | None) -> OSError:
    why = f" ({one_line(str(error))})" if error is not None and str(error) else ""
    return OSError(f"The Dask scheduler is gone{why}.")
