"""What an order would have cost at the clouds: the right cost here, the right machine there, no invented saving."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.samples import NOON, sample_candidate, sample_charge, sample_decision, sample_invoice, sample_request

from necto_pipelines.market.elsewhere import CostBasis, Elsewhere, elsewhere
from necto_pipelines.model.decision import Decision
from necto_pipelines.model.gpu import normalise_gpu
from necto_pipelines.model.invoice import InvoiceLine
from necto_pipelines.model.lease import Charge, ChargeKind
from necto_pipelines.model.money import cents
from necto_pipelines.model.offer import CloudPrice, SourceMode
from necto_pipelines.model.order import GpuNeed, Order, Requirement
from necto_pipelines.model.state import OrderState
from necto_pipelines.model.tables import CLOUD_PRICES

ORDER = "ord_1"
BOUGHT = sample_decision(ORDER)
"""18.50 expected for one H100 in Germany"""
REFUSED = sample_decision(ORDER, chosen=None, expected_usd=Decimal(0))


def price(
    cloud: str, instance: str, gpu: str, usd_per_hour: str, region: str = "eu-central-1", size: int = 1
) -> CloudPrice:
    named = normalise_gpu(gpu)
    assert named is not None
    return CloudPrice(
        cloud=cloud,
        instance=instance,
        gpu=named,
        gpu_count=size,
        region=region,
        usd_per_hour=Decimal(usd_per_hour),
        usd_per_gpu_hour=Decimal(usd_per_hour) / size,
        as_of="2026-07-20",
        source="test",
        mode=SourceMode.SNAPSHOT,
        raw_sha256="01",
    )


CLOUDS = CLOUD_PRICES.frame(
    [
        price("aws", "p5.4xlarge", "H100-80GB", "6.88", "us-east-1"),
        price("aws", "p5.4xlarge", "H100-80GB", "7.36"),
        price("azure", "nd96", "H100-80GB", "98.32", "westeurope", 8),
        price("gcp", "g4", "RTXPRO6000-96GB", "4.5", "europe-west4"),
        price("gcp", "a3", "H200-141GB", "10", "europe-west4"),
    ]
)


def order(state: OrderState, **requirement: Any) -> Order:
    need: dict[str, Any] = {"gpu": GpuNeed(model="H100"), "hours": Decimal(10)} | requirement
    return Order(
        id=ORDER,
        request=sample_request(requirement=Requirement(**need)),
        state=state,
        reason="",
        submitted_at=NOON,
        updated_at=NOON,
        next_attempt_at=None,
        attempt=1,
        run_id=None,
    )


def priced(
    one: Order,
    decision: Decision | None = BOUGHT,
    charges: Sequence[Charge] = (),
    lines: Sequence[InvoiceLine] = (),
) -> Elsewhere:
    return elsewhere(one, decision, charges, lines, CLOUDS)


def test_a_completed_order_is_compared_by_its_invoice_and_the_hours_it_ran() -> None:
    compute = sample_charge(ORDER, quantity=Decimal(4), amount_usd=Decimal("7.401"), invoice_number="NECTO-2026-000001")
    fee = sample_charge(
        ORDER,
        charge_id="chg_2",
        kind=ChargeKind.SLIPPAGE,
        quantity=Decimal(1),
        unit="conversion",
        amount_usd=Decimal("0.051"),
        invoice_number="NECTO-2026-000001",
    )
    other = sample_charge("ord_other", charge_id="chg_3")
    lines = sample_invoice("NECTO-2026-000001", [compute, fee, other]).lines
    found = priced(order(OrderState.COMPLETED), charges=[compute, fee], lines=lines)
    assert (found.here.usd, found.here.basis, found.here.hours) == (Decimal("7.45"), CostBasis.INVOICED, Decimal(4))
    assert found.here.region_groups == {"europe"}
    aws, azure, gcp = found.alternatives
    assert (aws.usd, aws.saved_usd, aws.savings_pct) == (Decimal("29.44"), Decimal("21.99"), Decimal("74.69"))
    assert aws.twin.machine.region == "eu-central-1"
    assert (azure.usd, azure.twin.machine.gpu_count) == (Decimal("393.28"), 8), "the whole machine is rented"
    assert (gcp.twin.proxy_gpu, gcp.usd) == ("H200-141GB", Decimal("40.00")), "the RTX PRO 6000 is weaker"
    assert [each.cheapest for each in found.alternatives] == [True, False, False]


def test_what_is_charged_and_not_yet_invoiced_counts_as_charged() -> None:
    charges = [
        sample_charge(ORDER, invoice_number="NECTO-2026-000001"),
        sample_charge(ORDER, charge_id="chg_2", period_start=NOON + timedelta(hours=1), amount_usd=Decimal("0.005")),
    ]
    found = priced(order(OrderState.COMPLETED), charges=charges)
    assert (found.here.usd, found.here.basis, found.here.hours) == (Decimal("18.51"), CostBasis.CHARGED, Decimal(20))


@pytest.mark.parametrize("state", [OrderState.ACTIVE, OrderState.WAITING, OrderState.PLACING])
def test_while_an_order_goes_on_the_decisions_cost_for_the_ordered_hours_counts(state: OrderState) -> None:
    broken_off = sample_charge(ORDER, quantity=Decimal(1), amount_usd=Decimal("1.85"))
    for charges in ([], [broken_off]):
        here = priced(order(state), charges=charges).here
        assert (here.usd, here.basis, here.hours) == (Decimal("18.50"), CostBasis.EXPECTED, Decimal(10))


@pytest.mark.parametrize("state", [OrderState.REFUSED, OrderState.WAITING, OrderState.SUBMITTED])
@pytest.mark.parametrize("decision", [REFUSED, None])
def test_an_order_without_an_offer_is_priced_at_the_clouds_and_claims_no_saving(
    state: OrderState, decision: Decision | None
) -> None:
    found = priced(order(state, countries=("US",)), decision)
    assert (found.here.usd, found.here.basis) == (None, CostBasis.NONE)
    assert [(each.saved_usd, each.savings_pct) for each in found.alternatives] == [(None, None)] * 3
    assert found.alternatives[0].twin.machine.region == "us-east-1"
    assert found.alternatives[0].usd == Decimal("68.80")


@pytest.mark.parametrize(
    ("gpu", "clouds"),
    [
        (GpuNeed(model="H100-94GB"), ["gcp"]),  # the H100s here have 80
        (GpuNeed(model="H100", count=2), ["azure"]),
        (GpuNeed(min_vram_gib=90), ["gcp"]),
        (GpuNeed(min_vram_gib=80, count=8), ["azure"]),
        (GpuNeed(model="A100", min_vram_gib=100), ["gcp"]),
        (GpuNeed(model="MI300X"), []),
        (GpuNeed(model="P40"), []),
    ],
)
def test_what_was_asked_for_bounds_the_machines_when_nothing_was_chosen(gpu: GpuNeed, clouds: list[str]) -> None:
    found = priced(order(OrderState.REFUSED, gpu=gpu), None)
    assert [each.twin.machine.cloud for each in found.alternatives] == clouds


def test_a_cheaper_cloud_is_a_negative_saving() -> None:
    dear = sample_decision(ORDER, chosen=sample_candidate(), expected_usd=Decimal("147.20"))
    aws = priced(order(OrderState.ACTIVE), dear).alternatives[0]
    assert (aws.saved_usd, aws.savings_pct) == (Decimal("-73.60"), Decimal("-100.00"))


def test_an_order_that_never_ran_saves_no_percentage() -> None:
    settled = sample_charge(ORDER, quantity=Decimal(1), unit="settlement", amount_usd=Decimal("0.01"))
    found = priced(order(OrderState.FAILED), charges=[settled])
    assert found.here.hours == 0
    assert {(each.usd, each.savings_pct) for each in found.alternatives} == {(Decimal("0.00"), None)}


@given(
    st.decimals(min_value="0.01", max_value=100, places=3),
    st.decimals(min_value="0.01", max_value=5000, places=2),
)
def test_the_saving_follows_from_the_two_costs(hours: Decimal, usd: Decimal) -> None:
    charge = sample_charge(ORDER, quantity=hours, amount_usd=usd)
    found = priced(order(OrderState.COMPLETED), charges=[charge])
    for each in found.alternatives:
        assert each.usd == cents(each.twin.machine.usd_per_hour * hours)
        assert each.saved_usd == each.usd - usd
        assert each.savings_pct is not None
        assert abs(each.savings_pct - 100 * each.saved_usd / each.usd) <= Decimal("0.0050001")
    (best,) = [each for each in found.alternatives if each.cheapest]
    assert best.usd == min(each.usd for each in found.alternatives)
