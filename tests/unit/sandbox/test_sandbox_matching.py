"""Which providers bid on what, and for how much."""

from decimal import Decimal

import pytest
from support.sandbox_app import SandboxCaller, gpu_sdl

from necto_pipelines.networks.akash.sdl import groups_of
from necto_pipelines.sandbox import matching
from necto_pipelines.sandbox.fleet import AUDITOR, Fleet, Overrides, Provider, Resources
from necto_pipelines.sandbox.fleet_table import Flaw

FLEET = Fleet(7, Overrides())
H100 = "vendor/nvidia/model/h100/ram/80Gi/interface/sxm"


def provider_with(model: str, flaw: Flaw = Flaw.NONE) -> Provider:
    return next(p for p in FLEET.providers if p.stock and p.stock[0].gpu.model == model and p.flaw is flaw)


def group(**asked: str | int) -> dict:
    return groups_of(gpu_sdl(**asked))[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "takes"),
    [
        ([], True),
        (["vendor/nvidia/model/*"], True),
        (["vendor/nvidia/model/h100"], True),
        (["vendor/nvidia/model/h100/ram/80Gi"], True),
        (["vendor/nvidia/model/h100/interface/sxm"], True),
        ([H100], True),
        (["vendor/nvidia/model/h100/interface/pcie"], False),
        (["vendor/nvidia/model/h100/ram/94Gi"], False),
        (["vendor/nvidia/model/h1"], False),
        (["vendor/amd/model/*"], False),
        (["vendor/nvidia/model/a100", "vendor/nvidia/model/h100"], True),
    ],
)
def test_a_gpu_is_taken_when_one_of_the_wanted_keys_fits(wanted: list[str], takes: bool) -> None:
    assert matching.asks_for([{"key": key, "value": "true"} for key in wanted], H100) is takes


def test_a_quote_is_the_gpu_price_and_the_machine_by_the_providers_targets() -> None:
    provider = provider_with("h100")
    free = {provider.stock[0].key: 8}

    quote = matching.quote(provider, group(gpus=2), provider.total, free)

    assert quote is not None
    # 8 cores, 32 GiB, 100 GiB ephemeral and two endpoints, over 429,909 blocks a month.
    machine = (8 * Decimal("1.6") + 32 * Decimal("0.8") + 100 * Decimal("0.02") + 2 * Decimal("0.05")) / 429_909
    gpus = 2 * (provider.stock[0].usd_per_hour or 0) / 600
    assert abs(quote.price - (machine + gpus) * 1_000_000) <= Decimal("0.000001")
    assert quote.gpus == {provider.stock[0].key: 2}


def test_a_price_at_the_ceiling_is_bid_and_one_above_is_not() -> None:
    provider = provider_with("h100")
    free = {provider.stock[0].key: 8}
    price = matching.quote(provider, group(), provider.total, free).price  # type: ignore[union-attr]

    def bids_at(ceiling: Decimal) -> bool:
        return matching.quote(provider, group(amount=str(ceiling)), provider.total, free) is not None

    assert bids_at(price)
    assert not bids_at(price - Decimal("0.000001"))


@pytest.mark.parametrize(
    "left",
    [Resources(7_999, 2**50, 2**50, 8), Resources(10**6, 2**34, 2**50, 8), Resources(10**6, 2**50, 2**36, 8)],
)
def test_nothing_is_bid_without_room(left: Resources) -> None:
    provider = provider_with("h100")

    assert matching.quote(provider, group(), left, {provider.stock[0].key: 8}) is None


def test_nothing_is_bid_without_enough_free_gpus() -> None:
    provider = provider_with("h100")

    assert matching.quote(provider, group(gpus=4), provider.total, {provider.stock[0].key: 3}) is None


@pytest.mark.parametrize(
    ("flaw", "model", "may"),
    [
        (Flaw.NONE, "h100", True),
        (Flaw.OLD_VERSION, "h100", True),
        (Flaw.UNAUDITED, "h100", False),
        (Flaw.OFFLINE, "h100", False),
        (Flaw.STRANGE_AUDITOR, "rtx4090", False),
        (Flaw.REGION_UNSIGNED, "rtx4090", True),
    ],
)
def test_only_online_providers_that_the_auditor_signed_may_serve(flaw: Flaw, model: str, may: bool) -> None:
    assert matching.may_serve(FLEET, provider_with(model, flaw), group(model=model)) is may


def test_the_auditor_must_have_signed_the_very_attributes_that_are_asked_for() -> None:
    unsigned, signed = provider_with("rtx4090", Flaw.REGION_UNSIGNED), provider_with("rtx4090")

    def asked(provider: Provider) -> dict:
        return group(model="rtx4090", attributes=f"{{location-region: {provider.place.region}}}")

    assert matching.may_serve(FLEET, signed, asked(signed))
    assert not matching.may_serve(FLEET, unsigned, asked(unsigned))


def test_bids_come_only_from_the_place_that_is_asked_for(sandbox: SandboxCaller) -> None:
    made = sandbox.create(gpu_sdl(attributes="{country: CA}"))
    sandbox.clock.advance(61)

    providers = {row["owner"]: row["ipCountryCode"] for row in sandbox.providers()}
    assert [providers[bid["id"]["provider"]] for bid in sandbox.bids(made["dseq"])] == ["CA"]


def test_an_unknown_auditor_gets_no_bids_that_are_shown(sandbox: SandboxCaller) -> None:
    made = sandbox.create(gpu_sdl("rtx4090", signed_by=FLEET.stranger))
    sandbox.clock.advance(61)

    assert sandbox.bids(made["dseq"]) == []
    assert FLEET.stranger != AUDITOR
