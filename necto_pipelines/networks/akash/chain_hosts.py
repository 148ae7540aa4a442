"""The hosts that serve the Akash chain's REST interface: asked in order, lists read whole and at one height.

A host that does not answer, answers 429 to the end, or has pruned what is asked is left for the next. A list is read
at one height and at one host: when any page fails the whole snapshot is thrown away. HTTP 501 means that a module
moved to another version, at every host alike. What stands in the lists belongs to `chain.py`.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import httpx

from necto_pipelines.failures import PermanentFailure, Refused, Unavailable
from necto_pipelines.fetching import Budget, Fetcher
from necto_pipelines.model.answer import Listing, RawAnswer, Row
from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.akash.chain_wire import WireHead, WirePage
from necto_pipelines.networks.reading import read_as

HEAD: Final = "/cosmos/base/tendermint/v1beta1/blocks/latest"
BEHIND_BLOCKS: Final = 2
"""lists are pinned this far behind the newest block: servers behind one name are not all equally far"""
PAGE: Final = 200
MOST_PAGES: Final = 500
_MOVED: Final = re.compile(r"GET \S+: HTTP 501:")
"""by status and not by gRPC code 12: what stands before a host may answer in a form of its own"""
_ANSWERS: Final = frozenset({"3", "5"})
"""gRPC `invalid argument` and `not found`: the chain's own word, so another host says the same"""
_PRUNED: Final = "failed to load state at height"

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Snapshot(Listing[Row], Generic[Row]):
    """A whole list as it stood at one height."""

    host: str
    height: int


class ChainHosts:
    """The chain behind `urls`. Every read raises `Unavailable` when no host gave it, `PermanentFailure` when a module
    moved, and `Refused` when the chain itself says no. Safe to share between threads."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clock: Clock,
        timeout_s: float,
        attempts: int,
        page: int,
        budget: Budget,
        transport: httpx.BaseTransport | None,
    ) -> None:
        if not urls:
            raise ValueError("at least one host of the chain is needed")
        self._urls, self._page = tuple(urls), page
        self._open: Callable[[str], Fetcher] = lambda url: Fetcher(
            url, clock=clock, timeout_s=timeout_s, attempts=attempts, budget=budget, transport=transport
        )
        self._fetchers: dict[str, Fetcher] = {}
        self._lock = threading.Lock()

    def newest(self, read: Callable[[Fetcher], Result]) -> Result:
        """What `read` makes of a host's newest state."""
        return self._first(lambda url: read(self._fetcher(url)))

    def pinned(self, read: "Callable[[View], Result]") -> Result:
        """What `read` makes of one host's state at one height."""

        def at(url: str) -> Result:
            fetcher = self._fetcher(url)
            head = read_as(get(fetcher, HEAD), WireHead).block.header.height
            height = max(1, head - BEHIND_BLOCKS)
            return read(View(url, height, self._page, fetcher))

        return self._first(at)

    def close(self) -> None:
        """Give back the connections."""
        with self._lock:
            while self._fetchers:
                self._fetchers.popitem()[1].close()

    def _first(self, read: Callable[[str], Result]) -> Result:
        """From the first host that has it."""
        faults = []
        for url in self._urls:
            try:
                return read(url)
            except Unavailable as error:
                faults.append(str(error))
        raise Unavailable(f"no host of the Akash chain gave an answer: {'; '.join(faults)}")

    def _fetcher(self, url: str) -> Fetcher:
        """The host's client, made when it is first asked: most of the time only the first host is."""
        with self._lock:
            if url not in self._fetchers:
                self._fetchers[url] = self._open(url)
            return self._fetchers[url]


@dataclass(frozen=True)
class View:
    """One host's state at one height."""

    host: str
    height: int
    page: int
    fetcher: Fetcher

    def items(
        self, path: str, shape: type[WirePage], filters: Mapping[str, str]
    ) -> tuple[list[object], list[RawAnswer]]:
        """All rows of a list, unread, and the pages they stood on. `Unavailable` when any page fails."""
        items: list[object] = []
        answers: list[RawAnswer] = []
        key, seen = "", set[str]()
        while key not in seen:
            seen.add(key)
            if len(seen) > MOST_PAGES:
                raise Unavailable(f"{self.host}{path}: more than {MOST_PAGES} pages")
            # The client encodes the key: signs of base64 mean something else in a query.
            asked = {"pagination.limit": str(self.page)} | ({"pagination.key": key} if key else {})
            answers.append(get(self.fetcher, path, {**filters, **asked}, height=self.height))
            page = read_as(answers[-1], shape)
            items += page.rows
            if not page.pagination.next_key:
                return items, answers
            key = page.pagination.next_key
        raise Unavailable(f"{self.host}{path}: the pages go round in a circle")

    def snapshot(
        self, rows: Sequence[Row], raw: Sequence[RawAnswer], quarantined: Sequence[tuple[str, str]]
    ) -> Snapshot[Row]:
        """The rows under this host and height."""
        return Snapshot(tuple(rows), tuple(raw), tuple(quarantined), host=self.host, height=self.height)


def get(
    fetcher: Fetcher, path: str, params: Mapping[str, str] | None = None, *, height: int | None = None
) -> RawAnswer:
    """One answer, of the newest state or of one `height`. A refusal that only speaks for the host is `Unavailable`: the
    next host may do better."""
    try:
        return fetcher.get(path, params, {"x-cosmos-block-height": str(height)} if height is not None else None)
    except Refused as error:
        if _MOVED.match(str(error)):
            module, version = re.findall(r"/(\w+)/(v\d\w*)/", f"{path}/")[0]
            raise PermanentFailure(
                f"the chain does not serve {path} any more: module {module} has moved on from {version} ({error})"
            ) from error
        if error.code in _ANSWERS and _PRUNED not in str(error):
            raise
        raise Unavailable(str(error)) from error
