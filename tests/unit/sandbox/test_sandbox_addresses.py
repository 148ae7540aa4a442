"""Made-up addresses that check like real ones."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.sandbox.addresses import address_of, is_address

LIVE = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"


def test_a_live_address_of_the_network_checks() -> None:
    assert is_address(LIVE)


@given(st.text(), st.integers())
def test_every_name_gets_an_address_of_the_real_shape_that_checks(name: str, seed: int) -> None:
    address = address_of(seed, name)

    assert re.fullmatch(r"akash1[qpzry9x8gf2tvdw0s3jn54khce6mua7l]{38}", address)
    assert is_address(address)


@given(st.integers(6, len(LIVE) - 1), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_a_single_wrong_sign_is_noticed(place: int, sign: str) -> None:
    changed = LIVE[:place] + sign + LIVE[place + 1 :]

    assert is_address(changed) == (changed == LIVE)


@pytest.mark.parametrize(
    "text", ["", "akash1", "cosmos1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63", LIVE + "q", LIVE.upper()]
)
def test_other_texts_are_no_addresses(text: str) -> None:
    assert not is_address(text)


def test_the_checksum_covers_the_prefix() -> None:
    assert address_of("x")[-6:] != address_of("x", prefix="akashvaloper")[-6:]
