"""Watch and failover without Dagster: what sensors and runs do, step by step, with time in the test's hand."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from support.procurement_world import ACTOR, World, procurement_world
from support.sandbox_server import running_sandbox

from necto_pipelines.failures import NectoError
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.lease import EffectState, Lease
from necto_pipelines.model.order import Order
from necto_pipelines.model.state import LeaseState, OrderState
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.procurement.deciding import FrozenInputs, route, screen
from necto_pipelines.procurement.failing_over import GivenUp, give_up
from necto_pipelines.procurement.funding import fund, hold
from necto_pipelines.procurement.judging import failed_leases
from necto_pipelines.procurement.procuring import due_orders, place_and_confirm, take_step
from necto_pipelines.procurement.settling import due_leases, settle
from necto_pipelines.procurement.watching import watch
from necto_pipelines.sandbox.access import API_KEY

LOOK_EVERY_S = 30


class TwinNetwork:
    """A second marketplace that speaks Akash's format under a name of its own, at another sandbox."""

    name = "twin"
    paid_in = "ACT"
    binding_bids = True

    def __init__(self, akash: AkashNetwork) -> None:
        self._akash = akash
        self.mode = akash.mode

    def offers(self) -> Listing[Any]:
        return self._renamed(self._akash.offers())

    def evidence(self) -> Listing[Any]:
        return self._renamed(self._akash.evidence())

    def _renamed(self, listing: Listing[Any]) -> Listing[Any]:
        rows = []
        for row in listing.rows:
            changes = {"network": self.name}
            if hasattr(row, "offer_id"):
                changes["offer_id"] = row.offer_id.replace("akash/", "twin/", 1)
            rows.append(row.model_copy(update=changes))
        return Listing(tuple(rows), listing.raw, listing.quarantined)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._akash, name)


@dataclass
class Drill:
    """A world with the sensors and runs of watch and failover, called by hand."""

    world: World
    inputs: FrozenInputs
    """what the assets hold; refreshed by `refresh`, as the schedules would"""

    @property
    def books(self) -> Any:
        return self.world.runtime.books

    def refresh(self) -> None:
        """Materialize catalog and evidence of every network that answers; the others are missing, as in the assets."""
        runtime = self.world.runtime
        offers, evidence = [], []
        for network in runtime.networks.values():
            if network.name not in ("akash", "twin"):
                continue
            try:
                listings = (network.offers(), network.evidence())
            except NectoError:
                continue
            for answer in (*listings[0].raw, *listings[1].raw):
                runtime.warehouse.write_raw(answer.body)
            offers += listings[0].rows
            evidence += listings[1].rows
        self.inputs = replace(self.inputs, offers=OFFERS.frame(offers), evidence=EVIDENCE.frame(evidence))

    def buy(self, **changes: Any) -> tuple[Order, Lease]:
        """An order that runs, and its lease."""
        order = self.world.submit(**changes)
        self.procure([order.id])
        order = self.books.order(order.id)
        assert order.state is OrderState.ACTIVE, order.reason
        (lease,) = self.books.leases(order_id=order.id, states=[LeaseState.ACTIVE])
        return order, lease

    def procure(self, order_ids: list[str]) -> None:
        """A procure run, or the part of a failover run that comes after the leases were given up."""
        runtime = self.world.runtime
        orders = [self.books.order(order_id) for order_id in order_ids]
        routable = [order for order in orders if order.state in (OrderState.SUBMITTED, OrderState.WAITING)]
        route(runtime, routable, screen(runtime, routable, self.inputs), self.inputs, ACTOR)
        take_step(runtime, order_ids, [OrderState.ROUTED], hold, ACTOR)
        take_step(runtime, order_ids, [OrderState.HELD], fund, ACTOR)
        take_step(runtime, order_ids, [OrderState.FUNDED, OrderState.PLACING], place_and_confirm, ACTOR)

    def look(self, network: str = "akash") -> list[str]:
        """A tick of a watch sensor: the ids of the leases that it would start a failover run for."""
        watch(self.world.runtime, network, self.inputs.evidence, ACTOR)
        return [each.lease.id for each in failed_leases(self.world.runtime, network, self.inputs.evidence)]

    def fail_over(self, network: str = "akash") -> GivenUp:
        """A failover run."""
        given_up = give_up(self.world.runtime, network, self.inputs, ACTOR)
        self.procure(list(given_up.to_route))
        return given_up

    def settle_due(self) -> None:
        """A settle run; what the network does not let close is left for the next."""
        for lease in due_leases(self.world.runtime, self.world.clock.now()):
            try:
                settle(self.world.runtime, lease, ACTOR)
            except NectoError:
                continue

    def procure_due(self) -> None:
        """A procure run for the orders that are due."""
        self.procure([order.id for order in due_orders(self.world.runtime)])

    def live(self, seconds: float, *, every_s: int = LOOK_EVERY_S, refresh: bool = False) -> list[GivenUp]:
        """Let time pass with all sensors at work; returns what was given up."""
        runs = []
        end = self.world.clock.now() + timedelta(seconds=seconds)
        while self.world.clock.now() < end:
            self.world.clock.advance(every_s)
            if refresh:
                self.refresh()
            for network in self.networks:
                if self.look(network):
                    runs.append(self.fail_over(network))
            self.settle_due()
            self.procure_due()
        return runs

    def without_evidence_on(self, provider: str) -> FrozenInputs:
        """The inputs as they would be if the network no longer named the provider."""
        frame = self.inputs.evidence
        return replace(self.inputs, evidence=frame[frame["provider"] != provider])

    @property
    def networks(self) -> list[str]:
        return [name for name in self.world.runtime.networks if name in ("akash", "twin")]

    def kill(self, provider: str, *, url: str = "") -> None:
        """The provider's machines are gone: it answers nobody any more."""
        self.switch("providers", provider, online=False, url=url)

    def switch(self, what: str, provider: str, *, url: str = "", **value: bool) -> None:
        httpx.post(f"{url or self.world.url}/sandbox/{what}", json={"provider": provider, **value}).raise_for_status()

    def break_network(self) -> None:
        """Every call to Akash is answered with 503 until `mend_network`."""
        body = {"action": "status", "rate": 1, "path_prefix": "/akash/"}
        httpx.post(f"{self.world.url}/sandbox/faults", json=body).raise_for_status()

    def mend_network(self) -> None:
        httpx.delete(f"{self.world.url}/sandbox/faults").raise_for_status()

    def story(self, order_id: str) -> list[str]:
        """The types of the leaves about an order, in their order; moves with where to, effects with what."""
        told = []
        for entry in self.books.leaves():
            event = json.loads(entry.leaf)
            about = event.get("subject", {}).get("order") == order_id or any(
                row["table"] == "failovers" and self.books.failover(row["key"]).order_id == order_id
                for row in event.get("rows", ())
            )
            if not about:
                continue
            body = event["body"]
            tail = {
                "order.moved": lambda b: f":{b['to']}",
                "lease.moved": lambda b: f":{b['to']}",
                "lease.health": lambda b: f":{b['new']}",
                "effect.begun": lambda b: f":{b['kind']}",
                "effect.ended": lambda b: f":{b['kind']}",
            }.get(event["type"], lambda _: "")
            told.append(event["type"] + tail(body))
        return told

    def assert_sound(self, *order_ids: str, open_deployments: int = 0) -> None:
        """What must hold after every drill: no orphan, nothing unknown, cost within cap, and a trail that verifies."""
        live = self.books.leases(states=[LeaseState.REQUESTED, LeaseState.ACTIVE, LeaseState.CLOSING])
        standing = [d["dseq"] for d in self.world.state()["deployments"] if d["state"] == "active"]
        assert sorted(standing) == sorted(lease.network_ref for lease in live if lease.network == "akash")
        assert len(standing) == open_deployments
        for order_id in order_ids:
            order = self.books.order(order_id)
            charged = sum((charge.amount_usd for charge in self.books.charges(order_id=order_id)), start=Decimal(0))
            assert charged <= order.request.budget_usd
            hold = self.books.hold(order_id)
            assert hold.usd <= order.request.budget_usd
            ended = order.state in (OrderState.COMPLETED, OrderState.FAILED, OrderState.REFUSED, OrderState.CANCELLED)
            assert hold.state == ("settled" if ended else "held"), (order.state, hold)
            effects = self.books.effects(order_id)
            assert all(effect.state is not EffectState.INTENT for effect in effects)
            alive = [lease for lease in live if lease.order_id == order_id]
            assert len(alive) == (order.state is OrderState.ACTIVE)
        self.books.sign()
        verdict = self.books.verify()
        assert verdict.ok, verdict.faults


@contextmanager
def drill(folder: Path, **settings: Any) -> Iterator[Drill]:
    """A drill on one network: the sandbox's Akash."""
    with procurement_world(folder, **settings) as world:
        yield Drill(world, world.inputs())


@contextmanager
def drill_of_two(folder: Path, **settings: Any) -> Iterator[tuple[Drill, str]]:
    """A drill on two networks, Akash and its twin, each a sandbox of its own; with the twin's address."""
    with procurement_world(folder, **settings) as world, running_sandbox(clock=world.clock, seed=11) as url:
        akash = AkashNetwork(
            base_url=f"{url}/akash",
            api_key=SecretStr(API_KEY),
            mode=world.runtime.networks["akash"].mode,
            clock=world.clock,
        )
        networks = {"akash": world.runtime.networks["akash"], "twin": TwinNetwork(akash)}
        world.runtime = replace(world.runtime, networks=networks)
        made = Drill(world, world.inputs())
        made.refresh()
        yield made, url
