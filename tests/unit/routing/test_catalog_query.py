from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables_of import NOW, evidence_row, offer_row

from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.order import Policy
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.routing.catalog import Catalog, Query


def catalog_of(*rows: dict[str, Any], judged: tuple[dict[str, Any], ...] = ()) -> Catalog:
    scores = score_providers(EVIDENCE.frame(judged), Policy(), now=NOW) if judged else None
    return Catalog(OFFERS.frame(rows), scores)


A100 = {"gpu_key": "A100-80GB", "gpu_family": "A100"}


@pytest.mark.parametrize(
    ("query", "misfit", "reason"),
    [
        (Query(gpu="H100"), A100, Refusal.GPU),
        (Query(gpu="A100-40GB"), {}, Refusal.GPU),
        (Query(networks=frozenset({"render"})), {}, Refusal.NETWORK),
        (Query(min_vram_gib=81), {}, Refusal.VRAM),
        (Query(min_fp16_tflops=1000), {}, Refusal.COMPUTE),
        (Query(min_fp16_tflops=1), {"gpu_family": "GTX1050"}, Refusal.COMPUTE),
        (Query(gpus=9), {}, Refusal.CAPACITY),
        (Query(gpus=5), {"max_gpus_per_order": 4}, Refusal.CAPACITY),
        (Query(min_cpu_cores=129), {}, Refusal.MACHINE),
        (Query(min_memory_gib=1025), {}, Refusal.MACHINE),
        (Query(min_disk_gib=4001), {}, Refusal.MACHINE),
        (Query(countries=frozenset({"FR"})), {}, Refusal.COUNTRY),
        (Query(countries=frozenset({"DE"})), {"country": None}, Refusal.COUNTRY),
        (Query(regions=frozenset({"us-west"})), {}, Refusal.REGION),
        (Query(interruptible=False), {"interruptible": True}, Refusal.INTERRUPTIBLE),
        (Query(max_usd_per_gpu_hour=2.49), {}, Refusal.PRICE_CAP),
        (Query(compliant=True), {}, Refusal.NO_EVIDENCE),
        (Query(min_score=1), {}, Refusal.SCORE),
    ],
)
def test_what_does_not_fit_is_left_out_and_explained(query: Query, misfit: dict[str, Any], reason: Refusal) -> None:
    catalog = catalog_of(offer_row(**misfit))
    assert list(catalog.select(query)) == []
    assert catalog.explain(query) == [(0, (reason,))]


def test_an_offer_that_fits_every_question_is_found() -> None:
    catalog = catalog_of(offer_row(), judged=(evidence_row(),))
    everything = Query(
        networks=frozenset({"akash"}), gpu="H100-80GB", min_vram_gib=80, min_fp16_tflops=900, gpus=8, min_cpu_cores=128,
        min_memory_gib=1024, min_disk_gib=4000, countries=frozenset({"DE"}), regions=frozenset({"eu-west"}),
        interruptible=False, compliant=True, min_score=99, max_usd_per_gpu_hour=2.5,
    )  # fmt: skip
    assert list(catalog.select(everything)) == [0]
    assert catalog.explain(everything) == []
    assert catalog.score(0) == 100


def test_several_reasons_are_all_given() -> None:
    catalog = catalog_of(offer_row(**A100, country="US"))
    query = Query(gpu="H100", countries=frozenset({"DE"}), max_usd_per_gpu_hour=1)
    assert catalog.explain(query) == [(0, (Refusal.GPU, Refusal.COUNTRY, Refusal.PRICE_CAP))]


def test_a_provider_that_does_not_comply_is_explained_by_what_compliance_found() -> None:
    catalog = catalog_of(offer_row(), judged=(evidence_row(is_online=False, uptime_7d=0.1),))
    ((_, reasons),) = catalog.explain(Query(compliant=True))
    assert reasons == (Refusal.OFFLINE, Refusal.UPTIME, Refusal.SCORE)


def test_sorting_by_anything_but_price_keeps_the_order_of_price_among_equals() -> None:
    catalog = catalog_of(
        offer_row("a", usd_per_gpu_hour=Decimal(3)),
        offer_row("b", usd_per_gpu_hour=Decimal(2)),
        offer_row("c", usd_per_gpu_hour=Decimal(1), vram_gib=40),
    )
    assert list(catalog.select(Query())) == [2, 1, 0]
    assert list(catalog.select(Query(sort="vram"))) == [1, 0, 2]
    assert list(catalog.select(Query(sort="vram", limit=1))) == [1]


def test_an_empty_catalog_answers_nothing() -> None:
    catalog = Catalog(OFFERS.frame([]))
    assert list(catalog.select(Query(gpu="H100"))) == []
    assert catalog.explain(Query()) == []


PRICES = st.decimals("0.05", "9", places=2)
ROWS = st.lists(st.tuples(PRICES, st.sampled_from(["DE", "US", None]), st.sampled_from([16, 40, 80])), max_size=30)


@given(rows=ROWS, cap=PRICES, vram=st.sampled_from([0, 16, 40, 80, 96]))
def test_found_and_explained_together_are_the_whole_catalog_and_found_is_sorted(
    rows: list[tuple[Decimal, str | None, int]], cap: Decimal, vram: int
) -> None:
    offers = [
        offer_row(f"p{n}", usd_per_gpu_hour=price, country=country, vram_gib=size)
        for n, (price, country, size) in enumerate(rows)
    ]
    catalog = catalog_of(*offers)
    query = Query(max_usd_per_gpu_hour=float(cap), countries=frozenset({"DE"}), min_vram_gib=vram)
    found = [int(row) for row in catalog.select(query)]
    expected = [n for n, (price, country, size) in enumerate(rows) if price <= cap and country == "DE" and size >= vram]
    assert sorted(found) == expected
    assert [rows[n][0] for n in found] == sorted(rows[n][0] for n in found)
    assert sorted(found + [row for row, _ in catalog.explain(query)]) == list(range(len(rows)))
