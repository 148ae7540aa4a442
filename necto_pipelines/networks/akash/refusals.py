"""The Console API's refusals in the words that callers act on; sources: the API's chain-error service."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from necto_pipelines.failures import Refused, Unavailable

_BID_GONE: Final = ("bid not open", "order not open", "bid is no longer open")
_CLOSED: Final = "deployment closed"
_NOT_YET: Final = "cannot be settled yet"


@contextmanager
def explained_refusals() -> Iterator[None]:
    """Turn refusals into `unauthorized`, `bid_not_open` and `deployment_closed`, or `Unavailable` when time helps."""
    try:
        yield
    except Refused as error:
        text = str(error).lower()
        if error.code in {"unauthorized", "401"}:
            hint = "set NECTO_AKASH_API_KEY to a valid API key of the Akash Console"
            raise Refused(f"{error}; {hint}", code="unauthorized") from error
        if any(clue in text for clue in _BID_GONE):
            raise Refused(str(error), code="bid_not_open") from error
        if _CLOSED in text:
            raise Refused(str(error), code="deployment_closed") from error
        if _NOT_YET in text:
            raise Unavailable(str(error)) from error
        raise
