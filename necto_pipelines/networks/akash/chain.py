"""Reads the Akash chain's REST interface: registered providers, what auditors signed, leases, oracle and burn-mint.

The market is to leave this chain (AEP-79), so the reader stays small. Which host is asked, and how a list is read
whole, stands in `chain_hosts.py`; what the figures are used for belongs to the callers.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import httpx

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher, both, wrong_shape
from necto_pipelines.model.answer import RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.akash.chain_hosts import PAGE, ChainHosts, Snapshot, View, get
from necto_pipelines.networks.akash.chain_wire import (
    WireAudit,
    WireLeaseRow,
    WireLeasesPage,
    WireMintStatus,
    WireOraclePrice,
    WirePair,
    WireProvidersPage,
    WireRegistered,
)
from necto_pipelines.networks.reading import read_as, read_rows

LIVE_URLS: Final = (
    "https://api.akashnet.net",
    "https://akash-api.polkachu.com",
    "https://akash-rest.publicnode.com",
)
"""public hosts, the project's own first (2026-07-17)"""
PROVIDERS: Final = "/akash/provider/v1beta4/providers"
AUDITS: Final = "/akash/audit/v1/audit/attributes/list"
LEASES: Final = "/akash/market/v1beta5/leases/list"
ORACLE: Final = "/akash/oracle/v2/aggregated_price"
BME: Final = "/akash/bme/v1/status"


@dataclass(frozen=True)
class Registered:
    """A provider as it registered itself; `attributes` are its own claims."""

    owner: str
    host_uri: str
    attributes: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Audit:
    """What one auditor signed for one provider. The provider may have changed its claims since."""

    owner: str
    auditor: str
    attributes: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Register:
    """Who is registered and who signed what, both at the same height."""

    providers: Snapshot[Registered]
    audits: Snapshot[Audit]


@dataclass(frozen=True)
class ChainLease:
    """A lease of a deployment; `price` is for one block. `reason` is not reliable: see `standing.py`."""

    owner: str
    dseq: str
    gseq: int
    oseq: int
    provider: str
    state: str
    price: Decimal
    denom: str
    created_height: int
    closed_height: int
    """0 while it runs"""
    reason: str


@dataclass(frozen=True)
class OraclePrice:
    """US dollars for one whole token, as the chain itself converts it. Only while `healthy` may it be relied on."""

    denom: str
    median_usd: Decimal
    twap_usd: Decimal
    min_usd: Decimal
    max_usd: Decimal
    published_at: datetime
    sources: int
    deviation_bps: int
    healthy: bool
    faults: tuple[str, ...]
    raw: RawAnswer


@dataclass(frozen=True)
class MintStatus:
    """Whether AKT can be burnt for ACT now, and how far the collateral is from the halt."""

    status: str
    collateral_ratio: Decimal
    warn_threshold: Decimal
    halt_threshold: Decimal
    mints_allowed: bool
    refunds_allowed: bool
    raw: RawAnswer


class ChainReader:
    """The chain behind `urls`, asked in this order. Safe to share between threads.

    Every read raises `Unavailable` when no host gave it, `PermanentFailure` when a module moved, and `Refused` when the
    chain itself says no.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        clock: Clock,
        timeout_s: float = 10.0,
        attempts: int = 2,
        page: int = PAGE,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._hosts = ChainHosts(
            urls, clock=clock, timeout_s=timeout_s, attempts=attempts, page=page, budget=budget, transport=transport
        )

    def register(self) -> Register:
        """Registered providers and everything auditors signed, at one height."""
        return self._hosts.pinned(
            lambda view: Register(*both(functools.partial(_providers, view), functools.partial(_audits, view)))
        )

    def providers(self) -> Snapshot[Registered]:
        """Every provider that ever registered and did not leave."""
        return self._hosts.pinned(_providers)

    def audits(self) -> Snapshot[Audit]:
        """What each auditor signed for each provider."""
        return self._hosts.pinned(_audits)

    def leases(self, owner: str, *, state: str | None = None) -> Snapshot[ChainLease]:
        """The leases of a tenant, in one state or all."""
        filters = {"filters.owner": owner} | ({"filters.state": state} if state else {})

        def read(view: View) -> Snapshot[ChainLease]:
            items, raw = view.items(LEASES, WireLeasesPage, filters)
            rows, faulty = read_rows(raw[0], items, WireLeaseRow, named_by=())
            return view.snapshot([_lease(row) for row in rows], raw, faulty)

        return self._hosts.pinned(read)

    def oracle_price(self, denom: str = "akt") -> OraclePrice:
        """The oracle's price over its sources."""

        def read(fetcher: Fetcher) -> OraclePrice:
            answer = get(fetcher, f"{ORACLE}/{denom}")
            wire = read_as(answer, WireOraclePrice)
            price, health = wire.aggregated_price, wire.price_health
            if price.denom != denom:
                raise wrong_shape(answer, ValueError(f"the price is of {price.denom!r}, not of {denom!r}"))
            return OraclePrice(
                denom=price.denom,
                median_usd=price.median_price,
                twap_usd=price.twap,
                min_usd=price.min_price,
                max_usd=price.max_price,
                published_at=price.timestamp,
                sources=price.num_sources,
                deviation_bps=price.deviation_bps,
                healthy=health.is_healthy,
                faults=health.failure_reason,
                raw=answer,
            )

        return self._hosts.newest(read)

    def mint_status(self) -> MintStatus:
        """State of the burn-mint module's circuit breaker."""

        def read(fetcher: Fetcher) -> MintStatus:
            answer = get(fetcher, BME)
            return MintStatus(**read_as(answer, WireMintStatus).model_dump(), raw=answer)

        return self._hosts.newest(read)

    def close_connections(self) -> None:
        """Give back the connections."""
        self._hosts.close()


def _providers(view: View) -> Snapshot[Registered]:
    items, raw = view.items(PROVIDERS, WireProvidersPage, {})
    rows, faulty = read_rows(raw[0], items, WireRegistered, named_by=("owner",))
    if not rows:
        raise Unavailable(f"{view.host}{PROVIDERS}: not a single provider at height {view.height}")
    return view.snapshot([Registered(row.owner, row.host_uri, _pairs(row.attributes)) for row in rows], raw, faulty)


def _audits(view: View) -> Snapshot[Audit]:
    items, raw = view.items(AUDITS, WireProvidersPage, {})
    rows, faulty = read_rows(raw[0], items, WireAudit, named_by=("owner",))
    return view.snapshot([Audit(row.owner, row.auditor, _pairs(row.attributes)) for row in rows], raw, faulty)


def _pairs(attributes: Sequence[WirePair]) -> frozenset[tuple[str, str]]:
    return frozenset((pair.key, pair.value) for pair in attributes)


def _lease(row: WireLeaseRow) -> ChainLease:
    lease = row.lease
    return ChainLease(
        owner=lease.id.owner,
        dseq=lease.id.dseq,
        gseq=lease.id.gseq,
        oseq=lease.id.oseq,
        provider=lease.id.provider,
        state=lease.state,
        price=lease.price.amount,
        denom=lease.price.denom,
        created_height=lease.created_at,
        closed_height=lease.closed_on,
        reason=lease.reason,
    )
