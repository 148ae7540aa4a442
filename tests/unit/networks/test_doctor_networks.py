"""Which networks are tested, what of their settings is named, and what is said without calling anybody."""

from pathlib import Path
from typing import Any

import pytest
import respx
from httpx import Response

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.finding import Check, Verdict
from necto_pipelines.networks.doctor import checks
from necto_pipelines.settings import Settings

CLOCK = FrozenClock()
TINY = """
from types import SimpleNamespace
from necto_pipelines.failures import Refused
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.offer import SourceMode

def network(rows):
    def offers():
        if rows is None:
            raise Refused("tiny said no")
        return Listing(rows, (), (("row 3", "odd"),))
    return SimpleNamespace(name="tiny", mode=SourceMode.LIVE, offers=offers)

def good(settings, clock): return network((1, 2))
def empty(settings, clock): return network(())
def refuses(settings, clock): return network(None)
"""


def found(tmp_path: Path, **given: Any) -> dict[str, Check]:
    return {check.name: check for check in checks(Settings(home=tmp_path, sandbox_port=1, **given), CLOCK)}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tinydoctor.py").write_text(TINY)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_listing_the_checks_calls_nobody(tmp_path: Path) -> None:
    with respx.mock:
        named = found(tmp_path)
    assert {"akash:console", "akash:account", "akash:chain:127.0.0.1", "akash:providers"} <= named.keys()
    assert {"dispersed", "render-jobs"} <= named.keys()
    assert {check.mode for name, check in named.items() if name.startswith(("akash", "render", "dispersed"))} == {
        "sandbox"
    }


def test_each_host_of_the_chain_is_tested_by_itself(tmp_path: Path) -> None:
    named = found(tmp_path, akash_mode="live", akash_chain_urls=("https://one.test", "https://two.test/lcd"))
    assert [name for name in named if name.startswith("akash:chain:")] == [
        "akash:chain:one.test",
        "akash:chain:two.test",
    ]
    with respx.mock(assert_all_called=False) as router:
        router.route(host="one.test").mock(return_value=Response(503))
        router.route(host="two.test", path__startswith="/lcd").mock(return_value=Response(501, json={"code": 12}))
        one, two = (named[f"akash:chain:{host}.test"].examine() for host in ("one", "two"))
    assert (one.verdict, one.reachable) == (Verdict.FAILED, True)
    assert "503" in one.says
    assert "module bme has moved on" in two.says


def test_live_akash_without_a_key_reads_and_cannot_order(tmp_path: Path) -> None:
    check = found(tmp_path, akash_mode="live")["akash:account"]
    assert (check.given, check.missing) == (("NECTO_AKASH_MODE",), ("NECTO_AKASH_API_KEY",))
    with respx.mock:
        finding = check.examine()
    assert finding.verdict is Verdict.NOT_CONFIGURED
    assert "orders cannot be placed" in finding.says


@pytest.mark.parametrize(("status", "verdict", "signed_in"), [(200, Verdict.OK, True), (401, Verdict.FAILED, False)])
def test_the_account_is_signed_in_by_its_balance(
    tmp_path: Path, status: int, verdict: Verdict, signed_in: bool
) -> None:
    check = found(tmp_path, akash_mode="live", akash_api_url="https://console.test", akash_api_key="ac.sk.x")[
        "akash:account"
    ]
    body = {"data": {"balance": 12.5, "deployments": 1, "total": 13.5}} if status == 200 else {"error": "no"}
    with respx.mock:
        route = respx.get("https://console.test/v1/balances").mock(return_value=Response(status, json=body))
        finding = check.examine()
    assert (finding.verdict, finding.signed_in) == (verdict, signed_in)
    assert ("12.5 USD free" in finding.says) == (status == 200)
    assert [call.request.headers.get("x-api-key") for call in route.calls] == [None, "ac.sk.x"]
    assert "ac.sk.x" not in finding.says


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({}, ("NECTO_DISPERSED_PUBLIC_KEY", "NECTO_DISPERSED_SECRET_KEY")),
        ({"dispersed_public_key": "pk"}, ("NECTO_DISPERSED_SECRET_KEY",)),
    ],
)
def test_live_dispersed_without_its_pair_fails_because_nothing_of_it_works(
    tmp_path: Path, given: dict[str, str], missing: tuple[str, ...]
) -> None:
    check = found(tmp_path, dispersed_mode="live", **given)["dispersed"]
    with respx.mock:
        finding = check.examine()
    assert (finding.verdict, check.missing) == (Verdict.FAILED, missing)
    assert all(name in finding.says for name in missing)


def test_live_aethir_without_a_rate_card_has_no_offers_and_says_which_variable(tmp_path: Path) -> None:
    check = found(tmp_path, aethir_mode="live")["aethir"]
    with respx.mock:
        finding = check.examine()
    assert (finding.verdict, check.missing) == (Verdict.NOT_CONFIGURED, ("NECTO_AETHIR_RATE_CARD",))


def test_a_rate_card_that_cannot_be_read_fails(tmp_path: Path) -> None:
    check = found(tmp_path, aethir_rate_card=tmp_path / "card.yaml")["aethir"]
    finding = check.examine()
    assert (finding.verdict, check.mode) == (Verdict.FAILED, "live")


@pytest.mark.parametrize(
    ("function", "verdict", "says"),
    [
        ("good", Verdict.OK, "2 offers, 1 set aside"),
        ("empty", Verdict.WARNING, "0 offers, 1 set aside; nothing is on offer"),
        ("refuses", Verdict.FAILED, "tiny said no"),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_a_network_of_a_setting_is_tested_through_the_port_alone(
    tmp_path: Path, function: str, verdict: Verdict, says: str
) -> None:
    check = found(tmp_path, extra_networks=(f"tinydoctor:{function}",))["tiny"]
    finding = check.examine()
    assert (finding.verdict, finding.says) == (verdict, says)
    assert (check.mode, check.given) == ("live", ("NECTO_EXTRA_NETWORKS",))


@pytest.mark.usefixtures("tiny")
def test_a_network_that_cannot_be_opened_takes_no_other_with_it(tmp_path: Path) -> None:
    named = found(tmp_path, extra_networks=("nowhere:open", "tinydoctor:good"))
    assert named["nowhere:open"].examine().verdict is Verdict.FAILED
    assert "NECTO_EXTRA_NETWORKS" in named["nowhere:open"].examine().says
    assert named["tiny"].examine().verdict is Verdict.OK
