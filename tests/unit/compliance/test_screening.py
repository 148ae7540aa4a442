from datetime import timedelta
from typing import Any

import pytest
from support.tables_of import NOW, evidence_row, signed

from necto_pipelines.compliance.screening import KNOWN_AUDITORS, WEIGHTS, score_providers
from necto_pipelines.model.decision import Refusal
from necto_pipelines.model.order import Policy
from necto_pipelines.model.tables import EVIDENCE, records


def verdict_on(policy: Policy | None = None, **changes: Any) -> dict[str, Any]:
    frame = EVIDENCE.frame([evidence_row(**changes)])
    return records(score_providers(frame, policy or Policy(), now=NOW))[0]


def test_a_provider_with_everything_proved_is_compliant_with_a_full_score() -> None:
    verdict = verdict_on(uptime_7d=1.0)
    assert verdict["compliant"]
    assert verdict["refusals"] == ""
    assert verdict["score"] == sum(WEIGHTS.values()) == 100


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"is_online": False}, Refusal.OFFLINE),
        ({"is_online": None}, Refusal.OFFLINE),
        ({"is_valid_version": False}, Refusal.VERSION),
        ({"is_valid_version": None}, Refusal.VERSION),
        ({"audited_by": "", "audited_attributes": ""}, Refusal.NO_EVIDENCE),
        ({"audited_by": None, "audited_attributes": None}, Refusal.NO_EVIDENCE),
        ({"audited_by": "akash1somebodyelse"}, Refusal.NO_EVIDENCE),
        ({"audited_attributes": signed(KNOWN_AUDITORS[0], "host")}, Refusal.NOT_AUDITED),
        ({"audited_attributes": signed("akash1somebodyelse", "location-region")}, Refusal.NOT_AUDITED),
        ({"audited_attributes": '[["host", "x,location-region=eu", "akash1somebodyelse"]]'}, Refusal.NOT_AUDITED),
        ({"uptime_7d": 0.5}, Refusal.UPTIME),
        ({"uptime_7d": None}, Refusal.UPTIME),
        ({"country": None}, Refusal.COUNTRY),
        ({"country": "KP"}, Refusal.COUNTRY),
        ({"observed_at": NOW - timedelta(hours=25)}, Refusal.EVIDENCE_EXPIRED),
        ({"observed_at": NOW + timedelta(hours=1)}, Refusal.EVIDENCE_EXPIRED),
    ],
)
def test_missing_expired_or_unsigned_evidence_is_refused_by_its_reason(
    changes: dict[str, Any], refusal: Refusal
) -> None:
    verdict = verdict_on(**changes)
    assert not verdict["compliant"]
    assert refusal in verdict["refusals"].split(",")
    assert verdict["details"]


def test_a_policy_may_narrow_the_countries_but_never_allow_an_embargoed_one() -> None:
    assert not verdict_on(Policy(countries=("FR",)))["compliant"]
    assert verdict_on(Policy(countries=("DE",)))["compliant"]
    assert not verdict_on(Policy(countries=("KP",)), country="KP")["compliant"]


def test_a_high_score_does_not_excuse_a_refusal() -> None:
    verdict = verdict_on(Policy(min_score=0), is_valid_version=False)
    assert verdict["score"] >= 80
    assert not verdict["compliant"]


def test_an_order_can_only_tighten_the_house_policy() -> None:
    house = Policy(countries=("DE", "NL"), min_score=80)
    loose = Policy(name="loose", countries=("DE", "FR"), min_score=10, min_uptime_7d="0", required_attributes=())
    both = house.tightened_by(loose)
    assert both.countries == ("DE",)
    assert both.min_score == 80
    assert both.min_uptime_7d == house.min_uptime_7d
    assert both.required_attributes == house.required_attributes


def test_an_order_cannot_bring_an_auditor_of_its_own() -> None:
    mine = Policy(auditors=("akash1mine",))
    own = {"audited_by": "akash1mine", "audited_attributes": signed("akash1mine", "location-region")}
    assert not verdict_on(mine, **own)["compliant"]
    assert not verdict_on(mine)["compliant"]
    assert verdict_on(Policy(auditors=(KNOWN_AUDITORS[0], "akash1mine")))["compliant"]


def test_policies_without_a_common_country_allow_no_country_at_all() -> None:
    both = Policy(countries=("DE",)).tightened_by(Policy(countries=("FR",)))
    assert not verdict_on(both, country="DE")["compliant"]
    assert not verdict_on(both, country="FR")["compliant"]
