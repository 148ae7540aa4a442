"""Whom auditors vouch for: the chain's word against the Console's."""

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.failures import Unavailable
from necto_pipelines.fetching import raw_answer
from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import ProviderEvidence, SourceMode
from necto_pipelines.networks.akash import chain
from necto_pipelines.networks.akash.adapter import AkashNetwork
from necto_pipelines.networks.akash.attesting import attested, unattested
from necto_pipelines.networks.akash.chain import Audit, ChainReader, Register, Registered
from necto_pipelines.networks.akash.chain_hosts import HEAD, Snapshot

CLOCK = FrozenClock()
REGION, TIER = ("location-region", "eu-west"), ("tier", "community")
Pairs = Iterable[tuple[str, str]]


def answered(url: str) -> RawAnswer:
    return raw_answer(url, url.encode(), CLOCK)


def console(provider: str, auditors: Iterable[str] = (), pairs: Pairs = ()) -> ProviderEvidence:
    answer = answered("console")
    return ProviderEvidence(
        network="akash",
        provider=provider,
        provider_name=provider,
        is_online=True,
        is_valid_version=True,
        audited_by=tuple(sorted(auditors)),
        audited_attributes=tuple(sorted((*pair, auditor) for pair in pairs for auditor in auditors)),
        country="NL",
        uptime_7d=0.99,
        observed_at=answer.received_at,
        raw_sha256=answer.sha256,
    )


def listed(*rows: ProviderEvidence) -> Listing[ProviderEvidence]:
    return Listing(rows, (answered("console"),), (("row 9", "unexpected shape"),))


def register(claims: dict[str, Pairs], signed: Iterable[tuple[str, str, Pairs]]) -> Register:
    providers = tuple(Registered(owner, "https://p.example:8443", frozenset(pairs)) for owner, pairs in claims.items())
    audits = tuple(Audit(owner, auditor, frozenset(pairs)) for owner, auditor, pairs in signed)
    return Register(
        Snapshot(providers, (answered("providers"),), host="h", height=5),
        Snapshot(audits, (answered("audits"),), (("row 3", "unexpected shape"),), host="h", height=5),
    )


def test_where_both_agree_nothing_is_noted_and_everything_is_kept() -> None:
    before = listed(console("akash1p", ["akash1a"], [REGION]))
    after = attested(before, register({"akash1p": [REGION, TIER]}, [("akash1p", "akash1a", [REGION])]))
    assert after.rows == before.rows
    assert [answer.url for answer in after.raw] == ["console", "providers", "audits"]
    assert after.quarantined == (("row 9", "unexpected shape"), ("row 3", "unexpected shape"))


def test_an_audit_that_only_the_console_knows_does_not_count_and_is_noted() -> None:
    after = attested(listed(console("akash1p", ["akash1a"], [REGION])), register({"akash1p": [REGION]}, []))
    [row] = after.rows
    assert (row.audited_by, row.audited_attributes) == ((), ())
    what, why = after.quarantined[-1]
    assert what == "akash1p"
    assert why == "only at the Console: akash1a, location-region=eu-west; the chain counts"


def test_an_audit_that_only_the_chain_knows_counts_and_is_noted() -> None:
    after = attested(listed(console("akash1p")), register({"akash1p": [REGION]}, [("akash1p", "akash1a", [REGION])]))
    [row] = after.rows
    assert (row.audited_by, row.audited_attributes) == (("akash1a",), ((*REGION, "akash1a"),))
    assert "only on the chain" in after.quarantined[-1][1]


def test_a_signature_for_what_is_claimed_no_more_does_not_count() -> None:
    moved = ("location-region", "us-west")
    signed = [("akash1p", "akash1a", [REGION]), ("akash1p", "akash1b", [REGION, TIER])]
    [row] = attested(listed(console("akash1p")), register({"akash1p": [moved, TIER]}, signed)).rows
    assert (row.audited_by, row.audited_attributes) == (("akash1b",), ((*TIER, "akash1b"),))


def test_a_provider_that_the_chain_does_not_know_has_nobodys_word() -> None:
    after = attested(listed(console("akash1ghost", ["akash1a"], [REGION])), register({"akash1p": []}, []))
    [row] = after.rows
    assert row.audited_by == ()
    assert after.quarantined[-1] == (
        "akash1ghost",
        "the Console lists it, the chain does not: nobody vouches for it",
    )


def test_a_long_difference_is_shortened() -> None:
    pairs = [(f"key{number}", "v") for number in range(9)]
    after = attested(listed(console("akash1p", ["akash1a"], pairs)), register({"akash1p": pairs}, []))
    assert "and 6 more" in after.quarantined[-1][1]


def test_without_the_chain_the_consoles_word_stands_and_this_is_said() -> None:
    before = listed(console("akash1p", ["akash1a"], [REGION]))
    after = unattested(before, Unavailable("no host answered"))
    assert (after.rows, after.raw) == (before.rows, before.raw)
    assert after.quarantined[-1] == ("signed attributes", "taken from the Console unconfirmed: no host answered")


_pairs = st.frozensets(st.sampled_from([REGION, TIER, ("location-region", "us-west"), ("host", "x")]))
_auditors = st.sampled_from(["akash1a", "akash1b"])


@given(claims=_pairs, signed=st.lists(st.tuples(_auditors, _pairs), max_size=4), shown=_pairs)
def test_nothing_counts_that_is_not_both_signed_and_claimed(
    claims: frozenset[tuple[str, str]], signed: list[tuple[str, frozenset[tuple[str, str]]]], shown: Any
) -> None:
    audits = [("akash1p", auditor, pairs) for auditor, pairs in signed]
    [row] = attested(listed(console("akash1p", ["akash1a"], shown)), register({"akash1p": claims}, audits)).rows
    assert set(row.audited_attributes) == {(*pair, who) for who, pairs in signed for pair in pairs & claims}
    assert set(row.audited_by) == {auditor for auditor, pairs in signed if pairs & claims}


# --- the adapter ----------------------------------------------------------------------------------------------------

PROVIDER = {
    "owner": "akash1p",
    "attributes": [{"key": "location-region", "value": "eu-west", "auditedBy": ["akash1a"]}],
}


def network(chain_answer: httpx.Response) -> AkashNetwork:
    """A Console that names an audit, and a chain whose list of audits is `chain_answer`."""

    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path == HEAD:
            return httpx.Response(200, json={"block": {"header": {"height": "27761552"}}})
        if request.url.path == chain.PROVIDERS:
            row = {"owner": "akash1p", "host_uri": "", "attributes": [{"key": "location-region", "value": "eu-west"}]}
            return httpx.Response(200, json={"providers": [row], "pagination": {"next_key": None}})
        return httpx.Response(chain_answer.status_code, content=chain_answer.content)

    reader = ChainReader(["https://chain.example"], clock=CLOCK, attempts=1, transport=httpx.MockTransport(serve))
    return AkashNetwork(
        base_url="https://console.example",
        api_key=None,
        mode=SourceMode.LIVE,
        clock=CLOCK,
        chain=reader,
        transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[PROVIDER])),
    )


def test_the_adapter_takes_audits_from_the_chain() -> None:
    empty = httpx.Response(200, content=json.dumps({"providers": [], "pagination": {"next_key": None}}))
    listing = network(empty).evidence()
    assert listing.rows[0].audited_by == ()
    assert {answer.url.split("/")[2] for answer in listing.raw} == {"console.example", "chain.example"}
    assert {row.raw_sha256 for row in listing.rows} <= {answer.sha256 for answer in listing.raw}


@pytest.mark.parametrize("status", [429, 501, 403])
def test_the_adapter_says_so_when_the_chain_cannot_confirm(status: int) -> None:
    listing = network(httpx.Response(status, text="no")).evidence()
    assert listing.rows[0].audited_by == ("akash1a",)
    [(what, why)] = listing.quarantined
    assert what == "signed attributes"
    assert "unconfirmed" in why
    assert str(status) in why
