"""The simulated providers add up to the live answers they were made from."""

import pytest
from support.sandbox_app import SandboxCaller

from necto_pipelines.sandbox.fleet import AUDITOR, Fleet, Overrides
from necto_pipelines.sandbox.fleet_table import FLEET, Flaw


def model_of(answer: dict, model: str, ram: str) -> dict:
    return next(row for row in answer["models"] if (row["model"], row["ram"]) == (model, ram))


def test_the_totals_are_those_of_the_live_network(sandbox: SandboxCaller) -> None:
    prices, capacity = sandbox.get("/akash/v1/gpu-prices"), sandbox.get("/akash/v1/network-capacity")
    gpus = sandbox.get("/akash/v1/gpu")["gpus"]

    assert prices["availability"] == {"total": 248, "available": 117}
    assert gpus["total"] == {"allocatable": 248, "allocated": 131}
    assert capacity["activeProviderCount"] == 60
    assert capacity["resources"]["gpu"] == {"active": 131, "pending": 0, "available": 117, "total": 248}


def test_the_a100_row_is_the_one_recorded_live(sandbox: SandboxCaller) -> None:
    row = model_of(sandbox.get("/akash/v1/gpu-prices"), "a100", "80Gi")

    assert row["interface"] == "SXM4"
    assert row["availability"] == {"total": 48, "available": 6}
    assert row["providerAvailability"] == {"total": 4, "available": 3}
    assert row["price"] == {
        "currency": "USD",
        "min": 1.13,
        "max": 1.83,
        "avg": 1.48,
        "weightedAverage": 1.36,
        "med": 1.48,
    }


def test_the_h100_and_h200_rows_are_the_ones_recorded_live(sandbox: SandboxCaller) -> None:
    prices, gpus = sandbox.get("/akash/v1/gpu-prices"), sandbox.get("/akash/v1/gpu")["gpus"]["details"]["nvidia"]
    h100 = model_of(prices, "h100", "80Gi")["price"]

    assert (h100["min"], h100["avg"], h100["max"]) == (2.01, 2.58, 3.16)
    held = {row["model"]: (row["allocatable"], row["allocated"]) for row in gpus}
    assert held["h100"] == (63, 48)
    assert held["h200"] == (40, 28)


def test_a_model_without_bids_has_no_price(sandbox: SandboxCaller) -> None:
    assert model_of(sandbox.get("/akash/v1/gpu-prices"), "gtx1070ti", "8Gi")["price"] is None


def test_prices_per_provider_come_with_debug(sandbox: SandboxCaller) -> None:
    row = model_of(sandbox.get("/akash/v1/gpu-prices", debug="true"), "h100", "80Gi")
    bids = [item["bestBid"]["hourlyPrice"] for item in row["providersWithBestBid"]]

    assert len(bids) == 10
    assert (min(bids), max(bids)) == (row["price"]["min"], row["price"]["max"])
    assert "providersWithBestBid" not in sandbox.get("/akash/v1/gpu-prices")["models"][0]


def test_the_cheapest_h100_are_the_ones_nobody_should_buy() -> None:
    h100 = [(row.stock[0].usd_per_hour, row.flaw) for row in FLEET if row.stock and row.stock[0].key == "h100"]

    flaws = [flaw for _, flaw in sorted(h100)[:3]]

    assert set(flaws) == {Flaw.UNAUDITED, Flaw.OLD_VERSION, Flaw.OFFLINE}


def test_every_flaw_shows_in_the_answer_as_the_network_would_tell_it(sandbox: SandboxCaller) -> None:
    providers = {provider.address: provider for provider in Fleet(7, Overrides()).providers}
    rows = {providers[row["owner"]].flaw: row for row in sandbox.get("/akash/v1/providers")}

    def auditors(flaw: Flaw, key: str) -> list[str]:
        return next(item["auditedBy"] for item in rows[flaw]["attributes"] if item["key"] == key)

    assert set(rows) == set(Flaw)
    assert rows[Flaw.UNAUDITED]["isAudited"] is False
    assert auditors(Flaw.NONE, "location-region") == [AUDITOR]
    assert auditors(Flaw.REGION_UNSIGNED, "location-region") == []
    assert auditors(Flaw.REGION_UNSIGNED, "host") == [AUDITOR]
    assert AUDITOR not in auditors(Flaw.STRANGE_AUDITOR, "location-region")
    assert (rows[Flaw.OLD_VERSION]["isOnline"], rows[Flaw.OLD_VERSION]["isValidVersion"]) == (True, False)
    assert (rows[Flaw.OFFLINE]["isOnline"], rows[Flaw.OFFLINE]["isValidVersion"]) == (False, True)
    gone = rows[Flaw.LONG_GONE]
    assert (gone["uptime1d"], gone["isOnline"], gone["isValidVersion"], gone["name"]) == (1, False, False, None)
    assert rows[Flaw.FLAKY]["uptime7d"] < 0.9
    assert rows[Flaw.NONE]["uptime7d"] >= 0.985


def test_providers_stand_in_many_countries(sandbox: SandboxCaller) -> None:
    countries = {row["ipCountryCode"] for row in sandbox.get("/akash/v1/providers")}

    assert {"US", "CA", "DE", "NL", "FI", "GB", "SG", "JP"} <= countries


@pytest.mark.parametrize(
    "narrowed", [{"model": "h100"}, {"memory_size": "80Gi"}, {"vendor": "nvidia"}, {"vendor": "amd"}]
)
def test_the_gpu_list_can_be_narrowed(sandbox: SandboxCaller, narrowed: dict[str, str]) -> None:
    gpus = sandbox.get("/akash/v1/gpu", **narrowed)["gpus"]

    rows = [row for rows in gpus["details"].values() for row in rows]
    assert gpus["total"]["allocatable"] == sum(row["allocatable"] for row in rows)
    assert all(narrowed.get("model", row["model"]) == row["model"] for row in rows)
    assert all(narrowed.get("memory_size", row["ram"]) == row["ram"] for row in rows)
    assert bool(rows) == (narrowed.get("vendor") != "amd")


def test_the_gpu_list_of_one_provider_is_found_by_address_and_by_host(sandbox: SandboxCaller) -> None:
    row = next(row for row in sandbox.get("/akash/v1/providers") if len(row["gpuModels"]) == 2)

    by_address = sandbox.get("/akash/v1/gpu", provider=row["owner"])
    by_host = sandbox.get("/akash/v1/gpu", provider=row["hostUri"])

    assert by_address == by_host
    assert by_address["gpus"]["total"]["allocatable"] == 3
    assert sandbox.call("GET", "/akash/v1/gpu", params={"provider": "nobody"}).status_code == 400


def test_the_same_seed_gives_the_same_providers_and_another_seed_others() -> None:
    def addresses(seed: int) -> list[str]:
        return [provider.address for provider in Fleet(seed, Overrides()).providers]

    assert addresses(7) == addresses(7)
    assert not set(addresses(7)) & set(addresses(8))
    assert len(set(addresses(7))) == 62
