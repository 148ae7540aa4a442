"""The books as assets: snapshots that say what they hold, and invoices that can be walked back to them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.dagster_world import World

from necto_pipelines.assets.billing import MONTHS, invoices, leases, usage_charges
from necto_pipelines.checks.invariants import invoices_readd
from necto_pipelines.failures import Stale
from necto_pipelines.model.invoice import Invoice
from necto_pipelines.model.lease import Charge, ChargeKind, Lease
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.state import LeaseState
from necto_pipelines.model.tables import records
from necto_pipelines.resources.lineage import lineage, walk
from necto_pipelines.resources.snapshots import MODE, latest_snapshot, newest

MONTH = "2026-11"
START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def a_lease(**changes: Any) -> Lease:
    values: dict[str, Any] = {
        "id": "lse_1",
        "order_id": "ord_1",
        "decision_id": "dec_1",
        "attempt": 1,
        "network": "akash",
        "provider": "akash1alpha",
        "provider_name": "alpha.example",
        "network_ref": "akash1me/1/1/1/akash1alpha",
        "gpu_key": "H100-80GB",
        "gpu_count": 1,
        "country": "DE",
        "state": LeaseState.CLOSED,
        "usd_per_hour": Decimal("1.25"),
        "native_amount": Decimal(2000),
        "native_unit": "uact/block",
        "block_seconds": Decimal("6.1"),
        "mode": SourceMode.SANDBOX,
        "raw_sha256": "0" * 64,
        "started_at": START,
        "ends_at": START + timedelta(hours=4),
        "closed_at": START + timedelta(hours=4),
    }
    return Lease(**(values | changes))


def a_charge(key: str, amount: str, **changes: Any) -> Charge:
    values: dict[str, Any] = {
        "id": key,
        "kind": ChargeKind.COMPUTE,
        "tenant": "default",
        "cost_centre": "research",
        "order_id": "ord_1",
        "lease_id": "lse_1",
        "month": MONTH,
        "network": "akash",
        "resource": "H100-80GB",
        "period_start": START,
        "period_end": START + timedelta(hours=4),
        "quantity": Decimal(4),
        "unit": "GPU-hours",
        "unit_price_usd": Decimal(amount) / 4,
        "amount_usd": Decimal(amount),
    }
    return Charge(**(values | changes))


@dataclass
class FakeBooks:
    """What billing reads, and the one change it makes, in memory."""

    known_leases: list[Lease] = field(default_factory=lambda: [a_lease()])
    known_charges: list[Charge] = field(default_factory=lambda: [a_charge("chg_1", "5.004")])
    issued: list[Invoice] = field(default_factory=list)
    actors: list[Any] = field(default_factory=list)
    """who issued each invoice"""

    def sign(self) -> None:
        """Nothing is signed here."""

    def leases(self) -> list[Lease]:
        return self.known_leases

    def charges(self, month: str | None = None, invoiced: bool | None = None) -> list[Charge]:
        return [
            charge
            for charge in self.known_charges
            if month in (None, charge.month) and invoiced in (None, charge.invoice_number is not None)
        ]

    def invoices(self, month: str) -> list[Invoice]:
        return [invoice for invoice in self.issued if invoice.month == month]

    @contextmanager
    def change(self, actor: Any) -> Iterator["FakeBooks"]:
        self._actor = actor
        yield self

    def issue_invoice(self, tenant: str, month: str, build: Callable[[str, Sequence[Charge]], Invoice]) -> Invoice:
        self.actors.append(self._actor)
        number = f"NECTO-2026-{len(self.issued) + 1:06}"
        due = [charge for charge in self.charges(month, invoiced=False) if charge.tenant == tenant]
        self.issued.append(build(number, due))
        self.known_charges = [
            charge.model_copy(update={"invoice_number": number}) if charge in due else charge
            for charge in self.known_charges
        ]
        return self.issued[-1]


@pytest.fixture
def books() -> FakeBooks:
    return FakeBooks()


@pytest.fixture
def world(tmp_path: Path, books: FakeBooks) -> World:
    return World(tmp_path, books=books)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def bill(world: World, instance: dg.DagsterInstance, *names: str) -> dg.ExecuteInProcessResult:
    return world.materialize(
        instance,
        [leases, usage_charges, invoices, invoices_readd],
        selection=dg.AssetSelection.assets(*names) if names else None,
        partition_key=MONTH,
    )


def test_a_month_is_billed_and_every_line_leads_back_to_charges_and_leases(
    world: World, books: FakeBooks, instance: dg.DagsterInstance
) -> None:
    result = bill(world, instance)
    [line] = records(latest_snapshot(instance, world.warehouse, "invoices", MONTH).frame)
    assert (line["number"], line["amount_usd"], line["simulated"]) == ("NECTO-2026-000001", Decimal(5), True)
    assert [node.made.name for node in walk(lineage(instance, "invoices", partition=MONTH))] == [
        f"invoices[{MONTH}]",
        "leases",
        f"usage_charges[{MONTH}]",
    ]
    assert newest(instance, "invoices", MONTH).mode == "sandbox"
    assert [(verdict.asset_check_key.name, verdict.passed) for verdict in result.get_asset_check_evaluations()] == [
        ("invoices_readd", True)
    ]
    [actor] = books.actors
    assert (actor.name, actor.run_id) == ("billing", result.run_id)
    assert (world.home / "invoices" / MONTH / "NECTO-2026-000001.pdf").exists()


def test_billing_the_same_month_again_issues_nothing_new(
    world: World, books: FakeBooks, instance: dg.DagsterInstance
) -> None:
    bill(world, instance)
    first = newest(instance, "invoices", MONTH)
    bill(world, instance)
    assert len(books.issued) == 1
    assert newest(instance, "invoices", MONTH).sha256 == first.sha256


def test_charges_that_arose_after_the_snapshot_are_not_invoiced_unseen(
    world: World, books: FakeBooks, instance: dg.DagsterInstance
) -> None:
    bill(world, instance, "leases", "usage_charges")
    books.known_charges.append(a_charge("chg_2", "1.00"))
    with pytest.raises(Stale, match="1 charges of 2026-11 and 0 leases that are not in usage_charges"):
        bill(world, instance, "invoices")
    assert books.issued == []


def test_charges_keep_every_digit_and_say_what_is_not_invoiced(
    world: World, books: FakeBooks, instance: dg.DagsterInstance
) -> None:
    slippage = {"kind": ChargeKind.SLIPPAGE, "unit": "conversion", "quantity": Decimal(1), "unit_price_usd": Decimal(0)}
    books.known_charges.append(a_charge("chg_2", "-0.000001234567890123", **slippage))
    result = bill(world, instance, "usage_charges")
    [event] = result.asset_materializations_for_node("usage_charges")
    said = {key: value.value for key, value in event.metadata.items()}
    assert (said["necto/usd"], said["necto/not_invoiced"]) == ("5.003998765432109877", 2)
    rows = records(latest_snapshot(instance, world.warehouse, "usage_charges", MONTH).frame)
    assert rows[1]["amount_usd"] == Decimal("-0.000001234567890123")


def test_a_month_without_charges_is_an_empty_table(
    world: World, books: FakeBooks, instance: dg.DagsterInstance
) -> None:
    books.known_charges, books.known_leases = [], []
    bill(world, instance)
    assert newest(instance, "invoices", MONTH).rows == 0
    assert newest(instance, "invoices", MONTH).mode == ""


def test_a_live_lease_is_labelled_live(world: World, books: FakeBooks, instance: dg.DagsterInstance) -> None:
    books.known_leases = [a_lease(mode=SourceMode.LIVE), a_lease(id="lse_2", mode=SourceMode.SANDBOX)]
    result = bill(world, instance, "usage_charges", "leases")
    said = {
        name: event.metadata[MODE].value
        for name in ("usage_charges", "leases")
        for event in result.asset_materializations_for_node(name)
    }
    assert said == {"usage_charges": "live", "leases": "live,sandbox"}


def test_the_running_month_and_the_next_one_exist() -> None:
    keys = MONTHS.get_partition_keys(current_time=datetime(2026, 11, 22, tzinfo=UTC))
    assert keys[-2:] == ["2026-11", "2026-12"]
