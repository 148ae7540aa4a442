"""How providers price, and how the Console reads their prices."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.sandbox import tariffs

PRICES = st.decimals("0.01", "20", places=2)


@given(PRICES)
def test_a_gpu_price_reads_back_at_six_hundred_blocks_an_hour(usd_per_hour: Decimal) -> None:
    per_block = tariffs.uact_per_block(tariffs.gpu_usd_per_month(usd_per_hour))

    assert (per_block * 600 / 1_000_000).quantize(Decimal("0.000001")) == usd_per_hour


def test_a_machine_is_priced_by_the_script_of_the_providers() -> None:
    unit = {
        "cpu": {"units": {"val": "16000"}},
        "memory": {"size": {"val": str(32 * 2**30)}},
        "storage": [{"size": {"val": str(360 * 2**30)}, "attributes": [{"key": "class", "value": "beta3"}]}],
        "endpoints": [{"sequence_number": 0}],
    }

    # The script's own worked example, 65.60 USD a month for 16 cores, 32 GiB and 360 GiB, plus one endpoint.
    assert tariffs.machine_usd_per_month(unit) == Decimal("65.65")


def test_ephemeral_disk_is_half_the_price_of_nvme() -> None:
    unit = {
        "cpu": {"units": {"val": "0"}},
        "memory": {"size": {"val": "0"}},
        "storage": [{"size": {"val": str(100 * 2**30)}}],
    }

    assert tariffs.machine_usd_per_month(unit) == Decimal(2)


def test_bids_are_rounded_up_so_that_the_target_is_met() -> None:
    per_block = tariffs.uact_per_block(Decimal("1234.56"))

    assert 0 <= per_block * 429_909 - Decimal(1_234_560_000) < 1
