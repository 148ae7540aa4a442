"""Commitments hide what they commit to, and the rules say when data must be erased and when they must not."""

import hmac
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.commitment import commitment, opens
from necto_pipelines.audit.erasure import ERASURE_BASES, HeldValue, kept_until, objections
from necto_pipelines.audit.event_type import Personal

SALT = bytes(range(32))
MADE = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_a_commitment_is_hmac_sha256_of_label_zero_byte_and_value():
    # computed with: printf 'contact.email\0ada@example.org' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001…1f
    expected = "b9f135ffbf267a187ffd22279c250ad0804829cd01c62cade69d3503376f4e45"
    assert b64decode(commitment(SALT, "contact.email", "ada@example.org")).hex() == expected


def test_only_the_salt_the_label_and_the_value_together_open_a_commitment():
    committed = commitment(SALT, "requested_by", "Ada")
    assert opens(committed, SALT, "requested_by", "Ada")
    assert not opens(committed, SALT, "requested_by", "Ida")
    assert not opens(committed, SALT, "approved_by", "Ada")
    assert not opens(committed, bytes(32), "requested_by", "Ada")
    assert not opens(committed, SALT[:31], "requested_by", "Ada")
    assert not opens(commitment(b"", "requested_by", "Ada"), b"", "requested_by", "Ada")


def test_who_knows_the_address_but_not_the_salt_finds_nothing_by_trying():
    label, value = "requested_by", "ada@example.org"
    committed = commitment(SALT, label, value)
    message = label.encode() + b"\0" + value.encode()
    guesses = [sha256(data).digest() for data in (value.encode(), message, label.encode() + value.encode())]
    guesses += [hmac.new(key, message, sha256).digest() for key in (b"", bytes(32), label.encode(), value.encode())]
    assert committed not in [b64encode(guess).decode() for guess in guesses]
    assert commitment(SALT[::-1], label, value) != committed


@given(st.binary(min_size=32, max_size=32), st.text(), st.text())
def test_what_was_committed_opens(salt: bytes, label: str, value: str):
    assert opens(commitment(salt, label, value), salt, label, value)


def held(basis: str, retention: str = "order-6y") -> HeldValue:
    return HeldValue("order.submitted", "contact", MADE, Personal("x", "x", basis, retention, "procurement"))


@pytest.mark.parametrize(
    ("basis", "rests_on", "retention", "claim", "why"),
    [
        ("art17.1a", "art6.1f", "requester-2y", None, ""),
        ("art17.1a", "art6.1b", "inv-10y", None, ""),
        ("art17.1d", "art6.1f", "requester-2y", None, ""),
        ("art17.1e", "art6.1b", "requester-2y", None, ""),
        ("art17.1b", "art6.1a", "requester-2y", None, ""),
        (
            "art17.1b",
            "art6.1f",
            "requester-2y",
            None,
            "art17.1b does not apply: contact of order.submitted rests on art6.1f",
        ),
        ("art17.1c", "art6.1f", "requester-2y", None, ""),
        ("art17.1c", "art6.1b", "requester-2y", None, "art17.1c does not apply"),
        ("art17.1f", "art6.1a", "requester-2y", None, ""),
        ("art17.1f", "art6.1f", "requester-2y", None, "art17.1f does not apply"),
        ("art17.1a", "art6.1c", "inv-10y", None, "kept by law until 2037-01-01 (article 17(3)(b))"),
        ("art17.1d", "art6.1c", "log", None, "kept by law as long as the log (article 17(3)(b))"),
        ("art17.1a", "art6.1f", "requester-2y", "case-7", "the legal claim case-7 (article 17(3)(e))"),
    ],
)
def test_data_are_erased_on_a_ground_that_fits_unless_a_law_or_a_claim_keeps_them(
    basis: str, rests_on: str, retention: str, claim: str | None, why: str
):
    found = objections(basis, [held(rests_on, retention)], claim, NOW)
    assert [why in objection for objection in found] == [True] * bool(why)


def test_what_a_law_has_kept_may_be_erased_when_its_time_is_over():
    value = held("art6.1c", "inv-10y")
    over = kept_until(value)
    assert over == datetime(2037, 1, 1, tzinfo=UTC)
    assert objections("art17.1a", [value], None, over) == []


def test_every_reason_is_named_once():
    found = objections("art17.1c", [held("art6.1c"), held("art6.1c"), held("art6.1b")], "case-7", NOW)
    assert len(found) == 4


def test_the_grounds_are_those_of_the_article():
    assert sorted(ERASURE_BASES) == [f"art17.1{letter}" for letter in "abcdef"]
