"""Akash through the Console API (managed wallet): the network port over HTTP.

A deployment is referred to by its `dseq`. Calls that read public lists carry no key. What answers look like stands in
`wire.py`, what they mean in `catalog.py` and `standing.py`, prices in `pricing.py` and the SDL in `sdl.py`. Two
second opinions may be set up: the chain on who is audited (`chain.py`), the providers on whether they are there and
what they have free (`probe.py`).
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import httpx
from pydantic import SecretStr

from necto_pipelines.failures import NectoError, PermanentFailure, Refused, Unavailable, Unknown
from necto_pipelines.fetching import (
    DEFAULT_BUDGET,
    AnswerStore,
    Budget,
    Fetcher,
    Get,
    both,
    whole,
    wrong_shape,
)
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.money import cents_up
from necto_pipelines.model.offer import Offer, ProviderEvidence, SourceMode
from necto_pipelines.networks.akash import pricing, sdl
from necto_pipelines.networks.akash.attesting import attested, unattested
from necto_pipelines.networks.akash.catalog import NETWORK, evidence_of, hosts_to_ask, offers_of
from necto_pipelines.networks.akash.chain import ChainReader, Register
from necto_pipelines.networks.akash.probe import ProviderProbe
from necto_pipelines.networks.akash.refusals import explained_refusals
from necto_pipelines.networks.akash.standing import (
    NATIVE_DENOM,
    current_lease,
    healthy,
    paid_in_uact,
    replicas,
    settled_uact,
    state_of,
)
from necto_pipelines.networks.akash.wire import (
    WireBid,
    WireBidRow,
    WireBids,
    WireBlock,
    WireCreated,
    WireCreatedAnswer,
    WireDeploymentsAnswer,
    WireStandingAnswer,
    read_list,
)
from necto_pipelines.networks.port import Bid, Deployment, LeaseStatus, Placement
from necto_pipelines.networks.reading import read_as, read_rows

LIVE_URL: Final = "https://console-api.akash.network"
AUDITOR: Final = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"
"""Akash Network, the auditor that the Console API lists (2026-11-22)"""
MEASURED_BLOCKS: Final = 10_000
"""about sixteen hours: far enough apart that the jitter of single blocks does not show"""
MEASURE_AGAIN_S: Final = 600
PAGE: Final = 100


class AkashNetwork:
    """The Akash marketplace. Raises `Refused`, `Unavailable` or `Unknown`; safe to share between threads."""

    name: str = NETWORK
    paid_in: str = "ACT"
    binding_bids: bool = True

    def __init__(
        self,
        *,
        base_url: str,
        api_key: SecretStr | None,
        mode: SourceMode,
        clock: Clock,
        timeout_s: float = 30.0,
        attempts: int = 4,
        chain: ChainReader | None = None,
        probe: ProviderProbe | None = None,
        budget: Budget = DEFAULT_BUDGET,
        store: AnswerStore | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.mode = mode
        self._clock = clock
        self._chain, self._probe = chain, probe
        key = {"x-api-key": api_key.get_secret_value()} if api_key else {}
        self._public, self._account = (
            Fetcher(
                base_url,
                clock=clock,
                headers=headers,
                timeout_s=timeout_s,
                attempts=attempts,
                budget=budget,
                store=store,
                transport=transport,
            )
            for headers in ({}, key)
        )
        self._measured: _BlockTime | None = None
        self._times: dict[int, datetime] = {}
        self._manifests: dict[str, str] = {}

    def offers(self) -> Listing[Offer]:
        """Every provider and GPU model with free GPUs, at list prices or the provider's own; see `catalog.offers_of`.

        With a probe every provider is asked itself, and whoever does not answer is set aside.
        """
        with explained_refusals():
            asked = [Get("/v1/providers"), Get("/v1/gpu-prices", {"debug": "true"})]
            providers, prices = whole(self._public.get_all(asked))
        findings = self._probe.ask(hosts_to_ask(providers)) if self._probe else {}
        return offers_of(providers, prices, mode=self.mode, findings=findings)

    def evidence(self) -> Listing[ProviderEvidence]:
        """State, place, uptime and signed attributes of every provider.

        With a chain reader it is the chain that says who signed what. While it cannot, the Console's word is taken,
        and `quarantined` says so.
        """
        if self._chain is None:
            return self._listed()
        listed, register = both(self._listed, functools.partial(_register, self._chain))
        return unattested(listed, register) if isinstance(register, NectoError) else attested(listed, register)

    def content_hash(self, placement: Placement) -> str:
        """The manifest's hash. Prices are no part of a manifest: the hash depends on the placement alone.

        The manifest is kept under its hash for as long as this adapter lives, because `find` must hand it on and the
        network does not list it.
        """
        manifest = sdl.manifest_of(sdl.sdl_of(placement, auditor=AUDITOR))
        content_hash = sdl.manifest_hash(manifest)
        self._manifests[content_hash] = sdl.manifest_text(manifest)
        return content_hash

    def request(self, placement: Placement) -> Deployment:
        """Create the deployment and pay its deposit. `Unknown` also when the reply came but cannot be read."""
        text = sdl.sdl_of(placement, auditor=AUDITOR, block_seconds=self._block_time().seconds)
        # JSON has no decimals: a float of whole cents is written with exactly those cents.
        body = {"data": {"sdl": text, "deposit": float(cents_up(placement.deposit_usd))}}
        with explained_refusals():
            answer = self._account.change_once("POST", "/v1/deployments", body)
        try:
            created = read_as(answer, WireCreatedAnswer).data
            content_hash = sdl.manifest_hash(_manifest(created, answer))
        except Unavailable as error:
            raise Unknown(f"{error}; the deployment may stand all the same") from error
        if created.transaction.code:
            raise Refused(
                f"Akash refused deployment {created.dseq}: {created.transaction.raw_log or 'no reason given'}",
                code=f"transaction_{created.transaction.code}",
            )
        return Deployment(created.dseq, content_hash, created.manifest, "active", answer)

    def find(self, content_hash: str) -> Sequence[Deployment]:
        """Our deployments with this manifest hash, newest first. The Console API lists active ones only.

        `manifest` is empty unless `content_hash` was asked of this adapter before; `lease` needs it.
        """
        found: dict[str, Deployment] = {}
        skip, more = 0, True
        while more:
            with explained_refusals():
                answer = self._account.get("/v1/deployments", {"skip": str(skip), "limit": str(PAGE)})
            page = read_as(answer, WireDeploymentsAnswer).data
            for row in page.deployments:
                if row.deployment.hash == content_hash:
                    manifest = self._manifests.get(content_hash, "")
                    ref = row.deployment.id.dseq
                    found[ref] = Deployment(ref, content_hash, manifest, row.deployment.state, answer)
            skip += len(page.deployments)
            more = page.pagination.has_more and bool(page.deployments)
        return sorted(found.values(), key=lambda deployment: int(deployment.ref), reverse=True)

    def bids(self, deployment: Deployment) -> Listing[Bid]:
        """Open bids for the whole deployment, good for five minutes, in the network's order. With them come the raw
        answers: first that of the bids, then those that the block time was measured from."""
        with explained_refusals():
            answer = self._account.get("/v1/bids", {"dseq": deployment.ref})
        rows, quarantined = read_rows(answer, read_as(answer, WireBids).data, WireBidRow, named_by=())
        bids = [row.bid for row in rows if row.bid.state == "open"]
        payable = [bid for bid in bids if bid.price.denom == NATIVE_DENOM]
        quarantined += [
            (bid.id.provider, f"asks for {bid.price.denom}; only {NATIVE_DENOM} can be paid")
            for bid in bids
            if bid not in payable
        ]
        if not payable:
            return Listing((), (answer,), tuple(quarantined))
        block_time = self._block_time()
        priced = tuple(_bid(bid, block_time.seconds, answer) for bid in payable)
        return Listing(priced, (answer, *block_time.raw), tuple(quarantined))

    def lease(self, deployment: Deployment, bid: Bid) -> LeaseStatus:
        """Accept a bid and send the manifest. May be repeated: the network does not lease twice."""
        manifest = deployment.manifest or self._manifests.get(deployment.content_hash)
        if not manifest:
            raise PermanentFailure(
                f"the manifest of deployment {deployment.ref} is not known here: ask content_hash(placement) first"
            )
        dseq, gseq, oseq, provider = bid.ref.split("/")
        wanted = {"dseq": dseq, "gseq": int(gseq), "oseq": int(oseq), "provider": provider}
        try:
            with explained_refusals():
                answer = self._account.put_again("POST", "/v1/leases", {"manifest": manifest, "leases": [wanted]})
        except Refused as error:
            if error.code != "bid_not_open":
                raise
            # A first attempt whose reply was lost may have taken the bid: then it is ours and no longer open.
            standing = self.status(deployment.ref)
            if standing.state == "active" and standing.provider == provider:
                return standing
            raise
        return self._status(answer)

    def status(self, ref: str) -> LeaseStatus:
        """The lease as chain and provider show it. Times are None until the network's index holds their block."""
        with explained_refusals():
            return self._status(self._account.get(f"/v1/deployments/{ref}"))

    def close(self, ref: str) -> LeaseStatus:
        """Close the deployment, which settles its escrow and gives back the rest."""
        try:
            with explained_refusals():
                self._account.put_again("DELETE", f"/v1/deployments/{ref}")
        except Refused as error:
            if error.code != "deployment_closed":
                raise
        return self.status(ref)

    def close_connections(self) -> None:
        """Give back the connections."""
        self._public.close()
        self._account.close()
        if self._chain:
            self._chain.close_connections()

    def _listed(self) -> Listing[ProviderEvidence]:
        """What the Console says of every provider."""
        with explained_refusals():
            return evidence_of(self._public.get("/v1/providers"))

    def _status(self, answer: RawAnswer) -> LeaseStatus:
        standing = read_as(answer, WireStandingAnswer).data
        lease = current_lease(standing)
        ready, total = replicas(lease)
        return LeaseStatus(
            ref=standing.deployment.id.dseq,
            provider=lease.id.provider if lease else "",
            state=state_of(standing),
            healthy=healthy(lease),
            opened_at=self._time_of(lease.created_at) if lease else None,
            closed_at=self._time_of(lease.closed_on) if lease else None,
            native_amount=lease.price.amount if lease else Decimal(0),
            native_unit=pricing.NATIVE_UNIT,
            settled_native=settled_uact(standing),
            raw=answer,
            ready=ready,
            total=total,
            paid_in_native=paid_in_uact(standing),
            reclaiming=lease is not None and lease.state == "reclaiming",
        )

    def _time_of(self, height: int) -> datetime | None:
        """When a block was made; None for height 0, and while the network's index lags behind its chain.

        Never raises: it is asked after a lease was made, and that lease must be reported in any case.
        """
        if height and height not in self._times:
            try:
                block = read_as(self._public.get(f"/v1/blocks/{height}"), WireBlock)
            except (Refused, Unavailable):
                return None
            self._times[height] = block.datetime.astimezone(UTC)
        return self._times.get(height)

    def _block_time(self) -> "_BlockTime":
        """Seconds per block, measured between the newest block and one far behind it, at most ten minutes ago."""
        now = self._clock.now()
        if self._measured is None or now - self._measured.at > timedelta(seconds=MEASURE_AGAIN_S):
            with explained_refusals():
                latest = self._public.get("/v1/blocks", {"limit": "1"})
                blocks, _ = read_rows(latest, read_list(latest), WireBlock, named_by=())
                newest = max(blocks, key=lambda block: block.height, default=None)
                if newest is None:
                    raise wrong_shape(latest, ValueError("no block"))
                answer = self._public.get(f"/v1/blocks/{max(1, newest.height - MEASURED_BLOCKS)}")
            older = read_as(answer, WireBlock)
            try:
                seconds = pricing.block_seconds(older.height, older.datetime, newest.height, newest.datetime)
            except ValueError as error:
                raise wrong_shape(answer, error) from error
            self._measured = _BlockTime(seconds, now, (latest, answer))
        return self._measured


@dataclass(frozen=True)
class _BlockTime:
    """Seconds per block, when it was measured, and the answers it was measured from."""

    seconds: Decimal
    at: datetime
    raw: tuple[RawAnswer, ...]


def _register(chain: ChainReader) -> Register | NectoError:
    """What the chain says, or why it does not."""
    try:
        return chain.register()
    except NectoError as error:
        return error


def _bid(bid: WireBid, block_seconds: Decimal, answer: RawAnswer) -> Bid:
    return Bid(
        ref=f"{bid.id.dseq}/{bid.id.gseq}/{bid.id.oseq}/{bid.id.provider}",
        provider=bid.id.provider,
        state=bid.state,
        native_amount=bid.price.amount,
        native_unit=pricing.NATIVE_UNIT,
        block_seconds=block_seconds,
        usd_per_hour=pricing.usd_per_hour(bid.price.amount, block_seconds),
        raw_sha256=answer.sha256,
    )


def _manifest(created: WireCreated, answer: RawAnswer) -> list[dict[str, object]]:
    """The manifest that the network made of our SDL."""
    try:
        manifest: list[dict[str, object]] = json.loads(created.manifest)
    except ValueError as error:
        raise wrong_shape(answer, error) from error
    return manifest
