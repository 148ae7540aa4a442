"""The simulated chain: deployments, bids, leases and their escrow, moved forward by time alone.

Rules and timers follow akash-network/provider (cmd flags, cluster/monitor.go @afc4dd7c30a2) and akash-network/node
(x/escrow, x/market @3efe26bf3911). What happens between two requests is derived from the recorded state and the time,
so a read changes nothing that a restart would not find again. Wire formats belong to `akash_standing.py`.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from necto_pipelines.model.money import MICRO
from necto_pipelines.sandbox import escrow, matching
from necto_pipelines.sandbox.answers import ApiError
from necto_pipelines.sandbox.blocks import BlockClock
from necto_pipelines.sandbox.capacity import Usage, left_at, usage_of
from necto_pipelines.sandbox.fleet import AUDITOR, Fleet, Provider
from necto_pipelines.sandbox.records import Bid, ChainState, Deployment, Lease, ServiceShape
from necto_pipelines.sandbox.seeded import share

MIN_DEPOSIT = 500_000
STARTING_CREDIT = 10_000 * MICRO
BID_EARLIEST_S, BID_LATEST_S = 6.0, 60.0
MAX_BIDS = 20
BID_TIMEOUT = timedelta(minutes=5)
MANIFEST_TIMEOUT = timedelta(minutes=5)
FUNDS_CHECK = timedelta(minutes=10)
WITHDRAWAL = timedelta(hours=24)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BID_NOT_OPEN = "Cannot create lease: The selected bid is no longer open. Please refresh and select an available bid."


@dataclass(order=True)
class _Event:
    at: datetime
    order: tuple[str, int, str]
    kind: str = field(compare=False)
    deployment: Deployment = field(compare=False)
    about: Any = field(compare=False, default=None)


class Chain:
    """Deployments of the one tenant of the sandbox. Call `advance` with the time before anything else."""

    def __init__(self, seed: int, fleet: Fleet, blocks: BlockClock, state: ChainState) -> None:
        self._seed = seed
        self._fleet = fleet
        self._blocks = blocks
        self.state = state
        # Deployments that ever had a bid of a provider, so that a bid need not look at all of them.
        self._involved: defaultdict[str, dict[str, Deployment]] = defaultdict(dict)
        for deployment in self._active():
            for bid in deployment.bids:
                self._involved[bid.provider][deployment.dseq] = deployment

    # What the tenant does

    def create(
        self, groups: list[dict[str, Any]], services: list[ServiceShape], hash_: str, deposit: int
    ) -> Deployment:
        """A new deployment, paid from the wallet. NOT idempotent, as at the network: twice the same makes two."""
        if any(item["price"]["denom"] != "uact" for group in groups for item in group["resources"]):
            raise ApiError(400, "Invalid coin denominations")
        if deposit < MIN_DEPOSIT:
            raise ApiError(400, "Deposit too low")
        if deposit > self.state.wallet:
            raise ApiError(402, "Insufficient balance. Please add funds to your account and try again.")
        now = self.state.advanced_to
        dseq = (now - _EPOCH) // timedelta(milliseconds=1)
        while str(dseq) in self.state.deployments:
            dseq += 1
        height = self._blocks.height_at(now)
        deployment = Deployment(
            dseq=str(dseq),
            hash=hash_,
            at=now,
            height=height,
            groups=groups,
            services=services,
            deposit=deposit,
            funds=deposit,
            settled_height=height,
        )
        self.state.wallet -= deposit
        self.state.deployments[deployment.dseq] = deployment
        return deployment

    def lease(self, wanted: Sequence[tuple[str, int, int, str]]) -> None:
        """Accept open bids, given as (dseq, gseq, oseq, provider): all of them or, with an `ApiError`, none.

        The other bids on the same groups are lost.
        """
        accepted = [
            (self.find(dseq), self._open_bid(dseq, gseq, oseq, provider)) for dseq, gseq, oseq, provider in wanted
        ]
        now = self.state.advanced_to
        height = self._blocks.height_at(now)
        for deployment, bid in accepted:
            escrow.settle(deployment, height)
            for other in deployment.bids:
                if other.gseq == bid.gseq and other.state == "open" and other is not bid:
                    other.state, other.closed_height = "lost", height
            bid.state = "active"
            deployment.leases.append(
                Lease(gseq=bid.gseq, provider=bid.provider, price=bid.price, gpus=bid.gpus, at=now, height=height)
            )

    def _open_bid(self, dseq: str, gseq: int, oseq: int, provider: str) -> Bid:
        deployment, holder = self.find(dseq), self._fleet.get(provider)
        if deployment.state != "active":
            raise ApiError(400, "Deployment closed")
        bid = next((bid for bid in deployment.bids if (bid.gseq, bid.provider) == (gseq, provider)), None)
        if bid is None or oseq != 1 or bid.state != "open":
            raise ApiError(400, BID_NOT_OPEN)
        if holder is None or not self._fleet.online(holder):
            raise ApiError(503, f"Provider {provider} is not reachable")
        return bid

    def deliver_manifest(self, dseq: str, gseq: int, provider: str, hash_: str) -> None:
        """Give the provider what to run; it refuses a manifest that is not the deployment's."""
        deployment = self.find(dseq)
        lease = next((item for item in deployment.running() if (item.gseq, item.provider) == (gseq, provider)), None)
        if lease is None:
            raise ApiError(404, "no lease for deployment")
        if hash_ != deployment.hash:
            raise ApiError(422, "manifest version validation failed")
        lease.manifest_at = lease.manifest_at or self.state.advanced_to

    def close(self, dseq: str) -> None:
        """Settle, end every lease and bid, give back the rest of the deposit. Nothing happens the second time."""
        deployment = self.find(dseq)
        if deployment.state != "active":
            return
        height = self._blocks.height_at(self.state.advanced_to)
        escrow.settle(deployment, height)
        self._end(deployment, height, "closed", "lease_closed_owner", account="closed")
        self.state.wallet += deployment.funds
        deployment.funds = 0

    def credit(self, uact: int) -> None:
        """Newly minted money arrives in the wallet."""
        self.state.wallet += uact

    # What can be read

    def find(self, dseq: str) -> Deployment:
        """The deployment; `ApiError` 404 when there is none."""
        if dseq not in self.state.deployments:
            raise ApiError(404, "Deployment not found")
        return self.state.deployments[dseq]

    def deployments(self) -> Iterable[Deployment]:
        """All of them, oldest first."""
        return self.state.deployments.values()

    def visible_bids(self, dseq: str) -> list[Bid]:
        """Bids as the managed API shows them: those of providers without an audit are left out."""
        deployment = self.state.deployments.get(dseq)
        return [bid for bid in deployment.bids if self._audited(bid.provider)] if deployment else []

    def usage(self) -> Mapping[str, Usage]:
        """What is leased and reserved now, by provider; an empty `Usage` for every other one."""
        return usage_of(self._active())

    def ready_at(self, deployment: Deployment, lease: Lease) -> datetime | None:
        """When the workload answers: 5 to 25 seconds after its manifest came; None while there is no manifest."""
        if lease.manifest_at is None:
            return None
        wait = 5 + 20 * share(self._seed, deployment.dseq, lease.gseq, lease.provider, "ready")
        return lease.manifest_at + timedelta(seconds=wait)

    # What time does

    def advance(self, to: datetime) -> None:
        """Let everything happen that falls due up to `to`, in the order of time."""
        if to <= self.state.advanced_to:
            return
        events = [event for deployment in self._active() for event in self._due(deployment, to)]
        heapq.heapify(events)
        while events:
            event = heapq.heappop(events)
            if event.deployment.state == "active":
                for follow_up in self._happen(event):
                    if follow_up.at <= to:
                        heapq.heappush(events, follow_up)
        self.state.advanced_to = to

    def _due(self, deployment: Deployment, to: datetime) -> Iterator[_Event]:
        since = self.state.advanced_to
        if since < deployment.at + timedelta(seconds=BID_LATEST_S):
            for gseq, group in enumerate(deployment.groups, start=1):
                for provider in self._fleet.providers:
                    at = self._arrival(deployment, gseq, provider)
                    if since < at <= to and matching.may_serve(self._fleet, provider, group):
                        yield _Event(at, (deployment.dseq, gseq, provider.address), "bid", deployment, provider)
        for bid in deployment.bids:
            if bid.state == "open" and bid.at + BID_TIMEOUT <= to:
                yield self._timeout(deployment, bid)
        for lease in deployment.running():
            for event in (*self._manifest_timeout(deployment, lease), self._withdrawal(deployment, lease, since)):
                if event.at <= to:
                    yield event
        if (check := self._funds_check(deployment, since)) and check.at <= to:
            yield check

    def _happen(self, event: _Event) -> Iterator[_Event]:
        deployment, height = event.deployment, self._blocks.height_at(event.at)
        if event.kind == "bid":
            bid = self._bid(event, height)
            if bid is not None:
                deployment.bids.append(bid)
                yield self._timeout(deployment, bid)
        elif event.kind == "bid_timeout":
            if event.about.state == "open":
                event.about.state, event.about.closed_height = "closed", height
        elif event.kind == "manifest_timeout":
            if event.about.state == "active" and event.about.manifest_at is None:
                escrow.settle(deployment, height)
                _close_lease(deployment, event.about, height, "closed", "lease_closed_reason_manifest_timeout")
        elif event.kind == "withdrawal":
            if event.about.state == "active" and not self._overdrawn(deployment, height):
                escrow.settle(deployment, height)
                yield self._withdrawal(deployment, event.about, event.at)
        elif (
            event.kind == "funds_check"
            and not self._overdrawn(deployment, height)
            and (check := self._funds_check(deployment, event.at))
        ):
            yield check

    def _bid(self, event: _Event, height: int) -> Bid | None:
        deployment, provider = event.deployment, event.about
        gseq = event.order[1]
        if _leased(deployment, gseq) or sum(bid.gseq == gseq for bid in deployment.bids) >= MAX_BIDS:
            return None
        involved = self._involved[provider.address]
        left, gpus = left_at(provider, usage_of(involved.values(), provider.address)[provider.address])
        quote = matching.quote(provider, deployment.group(gseq), left, gpus)
        if quote is None:
            return None
        involved[deployment.dseq] = deployment
        return Bid(gseq=gseq, provider=provider.address, price=quote.price, gpus=quote.gpus, at=event.at, height=height)

    def _arrival(self, deployment: Deployment, gseq: int, provider: Provider) -> datetime:
        part = share(self._seed, deployment.dseq, gseq, provider.address, "bid")
        return deployment.at + timedelta(seconds=BID_EARLIEST_S + (BID_LATEST_S - BID_EARLIEST_S) * part)

    def _timeout(self, deployment: Deployment, bid: Bid) -> _Event:
        order = (deployment.dseq, bid.gseq, bid.provider)
        return _Event(bid.at + BID_TIMEOUT, order, "bid_timeout", deployment, bid)

    def _manifest_timeout(self, deployment: Deployment, lease: Lease) -> Iterator[_Event]:
        if lease.manifest_at is None:
            order = (deployment.dseq, lease.gseq, lease.provider)
            yield _Event(lease.at + MANIFEST_TIMEOUT, order, "manifest_timeout", deployment, lease)

    def _withdrawal(self, deployment: Deployment, lease: Lease, after: datetime) -> _Event:
        at = lease.at + ((after - lease.at) // WITHDRAWAL + 1) * WITHDRAWAL
        return _Event(at, (deployment.dseq, lease.gseq, lease.provider), "withdrawal", deployment, lease)

    def _funds_check(self, deployment: Deployment, after: datetime) -> _Event | None:
        """The first look at the funds that finds nothing left: want of money is noticed late, not at its block."""
        dry = escrow.dry_height(deployment)
        if dry is None:
            return None
        began, dry_at = deployment.running()[0].at, max(self._blocks.time_of(dry), after)
        at = began - (began - dry_at) // FUNDS_CHECK * FUNDS_CHECK
        if at <= after:
            at += FUNDS_CHECK
        return _Event(at, (deployment.dseq, 0, ""), "funds_check", deployment)

    def _overdrawn(self, deployment: Deployment, height: int) -> bool:
        """End the deployment when its leases cost all that is left; True when that happened."""
        if escrow.owed(deployment, height) < deployment.funds:
            return False
        escrow.settle(deployment, height)
        # The network's own word for the reason is unreliable (akash-network/support issue 403): it says "invalid".
        self._end(deployment, height, "insufficient_funds", "lease_closed_invalid", account="overdrawn")
        return True

    def _end(self, deployment: Deployment, height: int, lease_state: str, reason: str, *, account: str) -> None:
        for lease in deployment.running():
            _close_lease(deployment, lease, height, lease_state, reason)
        for bid in deployment.bids:
            if bid.state == "open":
                bid.state, bid.closed_height = "closed", height
        deployment.state, deployment.closed_height, deployment.escrow_state = "closed", height, account
        for bid in deployment.bids:
            self._involved[bid.provider].pop(deployment.dseq, None)

    def _active(self) -> list[Deployment]:
        return [deployment for deployment in self.state.deployments.values() if deployment.state == "active"]

    def _audited(self, address: str) -> bool:
        provider = self._fleet.get(address)
        return provider is not None and self._fleet.signed_by(provider, AUDITOR)


def _leased(deployment: Deployment, gseq: int) -> bool:
    return any(lease.gseq == gseq for lease in deployment.leases)


def _close_lease(deployment: Deployment, lease: Lease, height: int, state: str, reason: str) -> None:
    lease.state, lease.reason, lease.closed_height = state, reason, height
    for bid in deployment.bids:
        if (bid.gseq, bid.provider, bid.state) == (lease.gseq, lease.provider, "active"):
            bid.state, bid.closed_height = "closed", height
