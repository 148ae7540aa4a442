"""All bundles of a log in order, read here or, where the log is large, by processes beside this one."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from threading import active_count
from typing import Final

from necto_verify.bundles import Bundle, read_bundle
from necto_verify.layout import TILE_WIDTH, Export

CHUNK: Final = 16
"""bundles in one task: about 10 ms of work"""
WORTH_IT: Final = 256
"""a log of fewer bundles is read before a further process has started"""


def read_bundles(export: Export, size: int, *, workers: int, thorough: bool) -> Iterator[Bundle]:
    """The bundles of a log of `size` entries, first to last. No more than a few are in memory.

    Further processes are forked from this one where it has no other threads; otherwise they start afresh, which the
    caller's main module must bear (`multiprocessing`, start method spawn). Where they fail, everything is read here.
    """
    last = (size + TILE_WIDTH - 1) // TILE_WIDTH
    number = 0
    if workers > 1 and last >= WORTH_IT:
        try:
            for bundle in _read_beside(export, size, last, workers, thorough):
                yield bundle
                number = bundle.number + 1
        except (BrokenProcessPool, OSError):
            pass
    while number < last:
        yield read_bundle(export, number, size, thorough=thorough)
        number += 1


def _read_beside(export: Export, size: int, last: int, workers: int, thorough: bool) -> Iterator[Bundle]:
    may_fork = "fork" in get_all_start_methods() and active_count() == 1
    pool = ProcessPoolExecutor(workers, mp_context=get_context("fork" if may_fork else "spawn"))
    waiting: deque[Future[list[Bundle]]] = deque()
    try:
        for start in range(0, last, CHUNK):
            waiting.append(pool.submit(_read_chunk, export, start, min(start + CHUNK, last), size, thorough))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _read_chunk(export: Export, start: int, stop: int, size: int, thorough: bool) -> list[Bundle]:
    return [read_bundle(export, number, size, thorough=thorough) for number in range(start, stop)]
