import math
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tables_of import NOW, evidence_row, offer_row

from necto_pipelines.compliance.screening import score_providers
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.gpu import FP16_TFLOPS
from necto_pipelines.model.order import Policy
from necto_pipelines.model.tables import EVIDENCE, OFFERS, records
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


@pytest.mark.parametrize("usd", ["0.29", "2.2282", "17.635", "740.95", "0.000000000001"])
def test_an_offer_at_just_the_highest_price_fits(usd: str) -> None:
    catalog = catalog_of(offer_row(usd_per_gpu_hour=Decimal(usd)))
    assert list(catalog.select(Query(max_usd_per_gpu_hour=float(usd)))) == [0]
    assert list(catalog.select(Query(max_usd_per_gpu_hour=math.nextafter(float(usd), 0)))) == []


MACHINES = st.builds(
    lambda number, usd, gpu, vram, country, gpus, seen, interruptible: offer_row(
        number,
        offer_id=number,
        usd_per_gpu_hour=usd,
        gpu_key=f"{gpu}-{vram}GB" if gpu else None,
        gpu_family=gpu,
        vram_gib=vram,
        country=country,
        units_available=gpus,
        observed_at=NOW - timedelta(minutes=seen),
        interruptible=interruptible,
    ),
    st.sampled_from([f"p{n}" for n in range(6)]),
    st.sampled_from([None, Decimal("0.5"), Decimal(1), Decimal("2.2282")]),
    st.sampled_from([None, "H100", "A100", "T4"]),
    st.sampled_from([16, 40, 80]),
    st.sampled_from([None, "DE", "US"]),
    st.integers(0, 8),
    st.integers(0, 3),
    st.sampled_from([True, False, None]),
)
QUERIES = st.builds(
    Query,
    gpu=st.sampled_from([None, "H100", "A100-80GB", "B200"]),
    gpus=st.sampled_from([0, 1, 4]),
    min_vram_gib=st.sampled_from([0, 40]),
    min_fp16_tflops=st.sampled_from([0, 300]),
    countries=st.sampled_from([frozenset(), frozenset({"DE"}), frozenset({"DE", "US"})]),
    interruptible=st.booleans(),
    compliant=st.booleans(),
    min_score=st.sampled_from([0, 90]),
    max_usd_per_gpu_hour=st.sampled_from([None, 0.5, 2.2282]),
    sort=st.sampled_from(["price", "score", "vram", "age"]),
    limit=st.sampled_from([None, 1, 5]),
)
JUDGED = tuple(evidence_row(f"p{n}", is_online=n % 2 == 0, uptime_7d=1 - n / 5) for n in range(5))
"""p5 nobody judged"""


def reasons_of(row: dict[str, Any], verdict: dict[str, Any], query: Query) -> tuple[Refusal, ...]:
    """Why one offer does not fit, wish by wish."""
    usd, cap = row["usd_per_gpu_hour"], query.max_usd_per_gpu_hour
    found = {
        Refusal.GPU: query.gpu is not None and query.gpu not in (row["gpu_key"], row["gpu_family"]),
        Refusal.COUNTRY: bool(query.countries) and row["country"] not in query.countries,
        Refusal.VRAM: row["vram_gib"] < query.min_vram_gib,
        Refusal.COMPUTE: FP16_TFLOPS.get(row["gpu_family"], 0) < query.min_fp16_tflops,
        Refusal.CAPACITY: row["units_available"] < query.gpus,
        Refusal.SCORE: verdict.get("score", -1) < query.min_score,
        Refusal.PRICE_CAP: cap is not None and (usd is None or usd > Decimal(str(cap))),
        Refusal.INTERRUPTIBLE: not query.interruptible and row["interruptible"] is not False,
    }
    if query.min_score == 0:
        found[Refusal.SCORE] = False
    reasons = [reason for reason, holds in found.items() if holds]
    if query.compliant and not verdict.get("compliant", False):
        reasons += [Refusal(word) for word in verdict.get("refusals", Refusal.NO_EVIDENCE).split(",")]
    return tuple(dict.fromkeys(reasons))


@given(st.lists(MACHINES, max_size=40), QUERIES)
def test_the_index_answers_as_one_who_looks_at_every_row(rows: list[dict[str, Any]], query: Query) -> None:
    catalog = catalog_of(*rows, judged=JUDGED)
    verdicts = {row["provider"]: row for row in records(score_providers(EVIDENCE.frame(JUDGED), Policy(), now=NOW))}
    reasons = [reasons_of(row, verdicts.get(row["provider"], {}), query) for row in rows]

    def place(number: int) -> tuple[Any, ...]:
        row, usd = rows[number], rows[number]["usd_per_gpu_hour"]
        return (usd is None, usd or 0, row["offer_id"], number)

    def key(number: int) -> tuple[Any, ...]:
        row = rows[number]
        score = verdicts.get(row["provider"], {}).get("score")
        first = {
            "price": 0,
            "score": 1 if score is None else -score,
            "vram": -row["vram_gib"],
            "age": -row["observed_at"].timestamp(),
        }
        return (first[query.sort], *place(number))

    fitting = sorted((number for number, why in enumerate(reasons) if not why), key=key)
    assert list(catalog.select(query)) == fitting[: query.limit]
    excluded = sorted((number for number, why in enumerate(reasons) if why), key=place)
    assert catalog.explain(query) == [(number, reasons[number]) for number in excluded]
