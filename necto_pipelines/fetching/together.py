"""Several things asked side by side, when none needs what another answers: the slowest decides how long it takes.

For calls of one source `Fetcher.get_all` is the better way; this is for whole adapters. How many calls reach one
source at a time is that source's budget.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from necto_pipelines.failures import NectoError

Result = TypeVar("Result")
First = TypeVar("First")
Second = TypeVar("Second")
MOST_THREADS: Final = 16


def side_by_side(calls: Sequence[Callable[[], Result]]) -> list[Result | NectoError]:
    """What each call gave or how it failed, in the order of the calls: one failure hides no other answer.

    Other exceptions are defects, and are raised. A single call is made in the caller's own thread.
    """
    if len(calls) < 2:
        return [_attempt(call) for call in calls]
    with ThreadPoolExecutor(min(len(calls), MOST_THREADS), "side-by-side") as pool:
        return list(pool.map(_attempt, calls))


def both(first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """What two calls give, made side by side. When both fail, the first one's failure is raised."""
    with ThreadPoolExecutor(1, "side-by-side") as pool:
        other = pool.submit(second)
        return first(), other.result()


def whole(results: Sequence[Result | NectoError]) -> list[Result]:
    """The results, when all of them came; else the first failure is raised."""
    found: list[Result] = []
    for result in results:
        if isinstance(result, NectoError):
            raise result
        found.append(result)
    return found


def _attempt(call: Callable[[], Result]) -> Result | NectoError:
    try:
        return call()
    except NectoError as failure:
        return failure
