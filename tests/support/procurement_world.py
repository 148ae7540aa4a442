"""A runtime on a sandbox over a real socket, with time in the test's hand and no Dagster: the use cases of buying."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from support.sandbox_server import running_sandbox

from necto_pipelines.market.clouds import reference_cloud_prices
from necto_pipelines.market.comparison import compare
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.decision import InputPin
from necto_pipelines.model.order import Order, OrderRequest
from necto_pipelines.model.state import OrderState
from necto_pipelines.model.tables import CLOUD_PRICES, EVIDENCE, OFFERS, TOKEN_PRICES
from necto_pipelines.procurement.deciding import FrozenInputs, route, screen
from necto_pipelines.procurement.funding import fund, hold
from necto_pipelines.procurement.procuring import place_and_confirm, take_step
from necto_pipelines.procurement.runtime import Runtime, service
from necto_pipelines.procurement.submission import submit
from necto_pipelines.settings import Settings

ACTOR = service("procurement", run_id="run-1", job="procure", step="test")
START = datetime(2026, 11, 20, 8, tzinfo=UTC)


@dataclass
class World:
    """The runtime, the sandbox's address, the clock both share, and the steps of a procure run one by one."""

    runtime: Runtime
    url: str
    clock: FrozenClock

    def submit(self, **changes: Any) -> Order:
        """Submit an order for one H100 for four hours; `changes` are laid over the document."""
        return submit(self.runtime.books, an_order_request(**changes), ACTOR)

    def inputs(self) -> FrozenInputs:
        """What the assets would hold now, read straight from the sources and kept in the warehouse."""
        network, warehouse = self.runtime.networks["akash"], self.runtime.warehouse
        offers, evidence = network.offers(), network.evidence()
        for answer in (*offers.raw, *evidence.raw):
            warehouse.write_raw(answer.body)
        offers_frame, evidence_frame = OFFERS.frame(offers.rows), EVIDENCE.frame(evidence.rows)
        clouds = CLOUD_PRICES.frame(reference_cloud_prices().rows)
        tokens = TOKEN_PRICES.frame(self.runtime.oracle.prices(["AKT", "USDC"]).rows)
        blob = warehouse.write_frame(OFFERS.arrow(offers_frame))
        now = self.clock.now().isoformat()
        pin = InputPin(asset="provider_catalog", sha256=blob.sha256, storage_id=1, run_id="run-0", observed_at=now)
        return FrozenInputs(offers_frame, evidence_frame, compare(offers_frame, clouds, tokens), (pin,))

    def route(self, *order_ids: str) -> Order:
        """Screen and route orders together; returns the first."""
        inputs = self.inputs()
        orders = [self.runtime.books.order(order_id) for order_id in order_ids]
        route(self.runtime, orders, screen(self.runtime, orders, inputs), inputs, ACTOR)
        return self.runtime.books.order(order_ids[0])

    def pay(self, order_id: str) -> Order:
        """Hold and convert."""
        take_step(self.runtime, [order_id], [OrderState.ROUTED], hold, ACTOR)
        take_step(self.runtime, [order_id], [OrderState.HELD], fund, ACTOR)
        return self.runtime.books.order(order_id)

    def place(self, order_id: str) -> Order:
        """Place and confirm."""
        take_step(self.runtime, [order_id], [OrderState.FUNDED, OrderState.PLACING], place_and_confirm, ACTOR)
        return self.runtime.books.order(order_id)

    def procure(self, order_id: str) -> Order:
        """All steps of a procure run."""
        self.route(order_id)
        self.pay(order_id)
        return self.place(order_id)

    def state(self) -> dict[str, Any]:
        """What really stands at the sandbox: deployments, leases and swaps."""
        found: dict[str, Any] = httpx.get(f"{self.url}/sandbox/state").json()
        return found

    def fault(self, method: str, path_prefix: str, action: str, **more: Any) -> None:
        """Let the sandbox fail the next matching call."""
        body = {"method": method, "path_prefix": path_prefix, "action": action, "times": 1} | more
        httpx.post(f"{self.url}/sandbox/faults", json=body).raise_for_status()


def an_order_request(**changes: Any) -> OrderRequest:
    """One H100 for four hours, at most 25 dollars, from cost centre `research`."""
    document: dict[str, Any] = {
        "name": "finetune",
        "tenant": "acme",
        "requested_by": "Ada Lovelace",
        "cost_centre": "research",
        "budget_usd": "25",
        "requirement": {"gpu": {"model": "H100"}, "hours": 4, "cpu_cores": 8, "memory_gib": 64, "disk_gib": 100},
    }
    return OrderRequest.model_validate(document | changes)


@contextmanager
def procurement_world(folder: Path, **settings: Any) -> Iterator[World]:
    """A world below `folder` with a budget of 1,000 dollars for `research`."""
    clock = FrozenClock(START)
    with running_sandbox(clock=clock) as url:
        made = Settings(home=folder, sandbox_port=int(url.rsplit(":", 1)[1]), **settings)
        runtime = Runtime.open(made, clock)
        try:
            with runtime.books.change(ACTOR) as change:
                change.set_budget("research", Decimal(1000))
            yield World(runtime, url, clock)
        finally:
            runtime.close()
