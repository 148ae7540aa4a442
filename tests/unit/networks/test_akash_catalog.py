"""Providers and list prices as offers and evidence."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import raw_answer
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import Offer, PriceBasis, SourceMode
from necto_pipelines.model.tables import EVIDENCE, OFFERS
from necto_pipelines.networks.akash.catalog import evidence_of, offers_of

NOW = datetime(2026, 7, 17, 20, 7, tzinfo=UTC)
A100 = {"vendor": "nvidia", "model": "a100", "ram": "80Gi", "interface": "SXM4"}
H100 = {"vendor": "nvidia", "model": "h100", "ram": "80Gi", "interface": "SXM5"}
T4 = {"vendor": "nvidia", "model": "t4", "ram": "16Gi", "interface": "PCIe"}
# Figures of the live answer of 2026-07-17 for a100 and h100; the rest of the row as documented.
PRICES: dict[str, Any] = {
    "availability": {"total": 248, "available": 117},
    "models": [
        A100
        | {
            "availability": {"total": 48, "available": 6},
            "price": {"currency": "USD", "min": 1.13, "max": 1.83, "avg": 1.48, "weightedAverage": 1.36, "med": 1.48},
            "priceUakt": {"currency": "uakt", "min": 1780097.43, "max": 3307107.7, "avg": 2375820.04},
        },
        H100
        | {"price": {"currency": "USD", "min": 2.01, "max": 3.16, "avg": 2.58, "weightedAverage": 2.5, "med": 2.6}},
        T4 | {"price": None},
    ],
}


def answered(body: object) -> RawAnswer:
    text = body if isinstance(body, str) else json.dumps(body)
    return raw_answer("https://akash.example/v1/list", text.encode(), FrozenClock(NOW))


def provider(**changes: Any) -> dict[str, Any]:
    row = {
        "owner": "akash1p",
        "name": None,
        "hostUri": "https://provider.ams1p0.example:8443",
        "isOnline": True,
        "isValidVersion": True,
        "uptime7d": 0.998,
        "ipCountryCode": "NL",
        "ipRegion": "North Holland",
        "locationRegion": "eu-west",
        "gpuModels": [A100],
        "attributes": [
            {"key": "location-region", "value": "eu-west", "auditedBy": ["akash1audit"]},
            {"key": "tier", "value": "community", "auditedBy": []},
        ],
        "stats": {
            "cpu": {"active": 4000, "available": 48500, "pending": 0},
            "gpu": {"active": 2, "available": 6, "pending": 0},
            "memory": {"active": 0, "available": 137438953472, "pending": 0},
            "storage": {"ephemeral": {"active": 0, "available": 1099511627776, "pending": 0}},
        },
    }
    return row | changes


def with_free_gpus(count: int, **changes: Any) -> dict[str, Any]:
    row = provider(**changes)
    row["stats"] |= {"gpu": {"active": 0, "available": count, "pending": 0}}
    return row


def listed(*rows: object, prices: object = PRICES) -> Listing[Offer]:
    return offers_of(answered(list(rows)), answered(prices), mode=SourceMode.SANDBOX)


def test_an_offer_says_what_where_how_much_and_by_which_answer() -> None:
    prices = answered(PRICES)
    [offer] = offers_of(answered([provider()]), prices, mode=SourceMode.LIVE).rows
    assert offer.offer_id == "akash/akash1p/a100/80gi/sxm4"
    assert (offer.gpu.key, offer.gpu.interface, offer.units_available) == ("A100-80GB", "sxm", 6)
    assert (offer.cpu_cores, offer.memory_gib, offer.disk_gib) == (48.5, 128.0, 1024.0)
    assert (offer.country, offer.region, offer.provider_name) == ("NL", "eu-west", "provider.ams1p0.example")
    assert (offer.usd_per_gpu_hour, offer.price_basis, offer.native_unit) == (
        Decimal("1.36"),
        PriceBasis.LIST,
        "USD/hour",
    )
    assert (offer.raw_sha256, offer.observed_at, offer.mode) == (prices.sha256, NOW, SourceMode.LIVE)


def test_both_answers_are_kept() -> None:
    providers, prices = answered([provider()]), answered(PRICES)
    assert offers_of(providers, prices, mode=SourceMode.LIVE).raw == (providers, prices)


def test_free_gpus_are_spread_over_the_models_and_add_up() -> None:
    listing = listed(with_free_gpus(5, gpuModels=[A100, H100, A100]))
    assert [(offer.gpu.family, offer.units_available) for offer in listing.rows] == [("A100", 3), ("H100", 2)]


def test_one_order_gets_no_more_than_one_machine_holds() -> None:
    [offer] = listed(with_free_gpus(24)).rows
    assert (offer.units_available, offer.max_gpus_per_order) == (24, 8)


@pytest.mark.parametrize("flags", [{"isOnline": False}, {"isValidVersion": False}, {"attributes": []}])
def test_whoever_looks_unfit_is_listed_all_the_same(flags: dict[str, Any]) -> None:
    assert len(listed(provider(**flags)).rows) == 1


def test_a_provider_without_free_gpus_offers_nothing() -> None:
    listing = listed(with_free_gpus(0), provider(owner="akash1cpu", gpuModels=[]))
    assert (listing.rows, listing.quarantined) == ((), ())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (provider(gpuModels=[T4]), "no price"),
        (provider(gpuModels=[A100 | {"interface": "PCIe"}]), "no price"),
        (provider(gpuModels=[A100 | {"model": "gt1030", "ram": "2Gi"}]), "not in the vocabulary"),
        (provider(gpuModels=[A100 | {"ram": "64Gi"}]), "not in the vocabulary"),
        (provider(gpuModels=[{"vendor": "amd", "model": "mi300x", "ram": "192Gi", "interface": "OAM"}]), "of amd"),
        (provider(stats=None), "does not say how many"),
        (with_free_gpus(1, gpuModels=[H100, A100]), "fewer free GPUs than models"),
        (provider(uptime7d="often"), "unexpected shape: uptime7d"),
    ],
)
def test_what_cannot_be_told_as_an_offer_is_set_aside_with_its_reason(row: dict[str, Any], reason: str) -> None:
    listing = listed(provider(owner="akash1good"), row)
    assert {offer.provider for offer in listing.rows} <= {"akash1good", "akash1p"}
    [(what, why)] = listing.quarantined
    assert "akash1p" in what
    assert reason in why


def test_a_price_row_of_another_shape_is_set_aside() -> None:
    cut = H100 | {"price": {"min": 2.01, "max": 3.16, "avg": 2.58}}
    listing = listed(provider(), prices={"models": [PRICES["models"][0], cut]})
    assert [what for what, _ in listing.quarantined] == ["h100"]


@pytest.mark.parametrize(
    ("providers", "prices"),
    [
        ('{"providers": []}', PRICES),
        ("[{]", PRICES),
        ([{"name": "no owner"}], PRICES),
        ([], "[]"),
        ([], {"models": None}),
        ([], {"models": [{"model": "a100"}]}),
    ],
)
def test_a_list_of_another_shape_is_no_usable_answer(providers: object, prices: object) -> None:
    with pytest.raises(Unavailable):
        offers_of(answered(providers), answered(prices), mode=SourceMode.LIVE)


def test_an_overlong_price_fits_the_table_and_prices_are_never_binary() -> None:
    prices = json.dumps(PRICES).replace("1.36", "1.3600000000000001234")
    [offer] = offers_of(answered([provider()]), answered(prices), mode=SourceMode.LIVE).rows
    assert offer.usd_per_gpu_hour == Decimal("1.36")
    assert len(OFFERS.frame([offer])) == 1


@pytest.mark.parametrize(("code", "country"), [("nl", "NL"), ("USA", "US"), ("", None), (None, None), ("??", None)])
def test_countries_are_normalised_or_unknown(code: str | None, country: str | None) -> None:
    assert [row.country for row in evidence_of(answered([provider(ipCountryCode=code)])).rows] == [country]


def test_evidence_holds_only_what_an_auditor_signed() -> None:
    answer = answered([provider()])
    [row] = evidence_of(answer).rows
    assert row.audited_attributes == (("location-region", "eu-west", "akash1audit"),)
    assert row.audited_by == ("akash1audit",)
    assert (row.is_online, row.is_valid_version, row.uptime_7d, row.country) == (True, True, 0.998, "NL")
    assert (row.raw_sha256, row.observed_at) == (answer.sha256, NOW)
    assert len(EVIDENCE.frame([row])) == 1


def test_what_a_provider_does_not_say_is_unknown_not_good() -> None:
    # The live row of 2026-07-17 as it was recorded: no country, no attributes, offline with a full day of uptime.
    live = {
        "owner": "akash1c",
        "name": None,
        "hostUri": "https://provider.ams1p0.example:8443",
        "gpuModels": [],
        "uptime1d": 1,
        "uptime7d": 0.1427,
        "isValidVersion": False,
        "isOnline": False,
    }
    [row] = evidence_of(answered([live])).rows
    assert (row.is_online, row.is_valid_version, row.country) == (False, False, None)
    assert (row.audited_by, row.audited_attributes) == ((), ())
    [bare] = evidence_of(answered([{"owner": "akash1d"}])).rows
    assert (bare.is_online, bare.is_valid_version, bare.uptime_7d) == (None, None, None)


def test_a_provider_that_promised_more_than_it_has_has_nothing_left() -> None:
    row = provider()
    row["stats"] |= {name: {"active": 9, "available": -5000, "pending": 0} for name in ("cpu", "memory")}
    [offer] = listed(row).rows
    assert (offer.cpu_cores, offer.memory_gib) == (0, 0)


@pytest.mark.parametrize("owner", ["N/A", "", 17, None])
def test_a_placeholder_is_no_provider(owner: object) -> None:
    found = evidence_of(answered([provider(), provider(owner=owner)]))
    assert [row.provider for row in found.rows] == ["akash1p"]
    assert "unexpected shape: owner" in found.quarantined[0][1]
