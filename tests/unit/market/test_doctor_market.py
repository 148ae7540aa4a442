"""Which sources of the market are tested, and what is said of lists in files, missing keys and doubtful prices."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import respx
from httpx import Response

from necto_pipelines.market.doctor import checks
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.settings import Settings

CLOCK = FrozenClock()
LIST = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice\n"
    "gpu_1x_h100,H100,1,26,200,2.49,us-east-1,,\n"
    "gpu_1x_odd,Inferentia,1,26,200,2.49,us-east-1,,\n"
)


def found(tmp_path: Path, **given: Any) -> dict[str, Check]:
    return {check.name: check for check in checks(Settings(home=tmp_path, sandbox_port=1, **given), CLOCK)}


def finding(tmp_path: Path, name: str, answer: Response, **given: Any) -> Finding:
    """What is found when everybody gives `answer`."""
    with respx.mock:
        respx.route().mock(return_value=answer)
        return found(tmp_path, **given)[name].examine()


def test_without_a_word_the_clouds_are_the_dated_table_and_nobody_is_called(tmp_path: Path) -> None:
    with respx.mock:
        named = found(tmp_path)
        findings = {cloud: named[cloud].examine() for cloud in ("aws", "azure", "gcp")}
    for cloud, told in findings.items():
        assert (named[cloud].mode, told.verdict) == ("snapshot", Verdict.OK)
        assert " prices of 2026" in told.says


def test_a_table_over_a_year_old_is_a_warning(tmp_path: Path) -> None:
    later = FrozenClock(CLOCK.now() + timedelta(days=400))
    (azure,) = (check for check in checks(Settings(home=tmp_path), later) if check.name == "azure")
    told = azure.examine()
    assert told.verdict is Verdict.WARNING
    assert "over a year old" in told.says


@pytest.mark.parametrize(
    ("as_of", "verdict", "says"),
    [
        ("2026-05-20", Verdict.OK, "1 prices of 2026-05-20; 1 set aside"),
        ("2022-12-02", Verdict.WARNING, "over a year old"),
        (None, Verdict.FAILED, "have no date"),
    ],
)
def test_a_skypilot_list_is_read_and_judged(tmp_path: Path, as_of: str | None, verdict: Verdict, says: str) -> None:
    (tmp_path / "lists" / "lambda").mkdir(parents=True)
    (tmp_path / "lists" / "lambda" / "vms.csv").write_text(LIST)
    check = found(tmp_path, skypilot_catalogs=tmp_path / "lists", skypilot_as_of=as_of)["skypilot:lambda"]
    told = check.examine()
    assert told.verdict is verdict
    assert says in told.says
    assert check.given[0] == "NECTO_SKYPILOT_CATALOGS"


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
@pytest.mark.parametrize(("status", "verdict"), [(200, Verdict.OK), (404, Verdict.FAILED), (503, Verdict.FAILED)])
def test_a_live_list_is_asked_for_its_first_answer_only(
    tmp_path: Path, cloud: str, status: int, verdict: Verdict
) -> None:
    given = {f"{cloud}_mode": "live", f"{cloud}_prices_url": "https://prices.test", "gcp_api_key": "AIza-1"}
    with respx.mock:
        route = respx.route(host="prices.test").mock(return_value=Response(status, json={}))
        told = found(tmp_path, **given)[cloud].examine()
    assert told.verdict is verdict
    assert route.call_count == 2
    assert [call.request.headers.get("x-goog-api-key") for call in route.calls] == [
        None,
        "AIza-1" if cloud == "gcp" else None,
    ]


def test_live_google_without_a_key_fails_without_a_call(tmp_path: Path) -> None:
    check = found(tmp_path, gcp_mode="live")["gcp"]
    with respx.mock:
        told = check.examine()
    assert (told.verdict, check.missing) == (Verdict.FAILED, ("NECTO_GCP_API_KEY",))


def test_live_pyth_without_a_key_is_left_out_and_says_what_follows(tmp_path: Path) -> None:
    check = found(tmp_path, prices_mode="live")["pyth"]
    assert check.missing == ("NECTO_PYTH_API_KEY",)
    with respx.mock:
        told = check.examine()
    assert told.verdict is Verdict.NOT_CONFIGURED
    assert "payments in USDC wait" in told.says


def test_a_refused_key_of_pyth_is_not_signed_in(tmp_path: Path) -> None:
    given = {"prices_mode": "live", "pyth_api_key": "pk-1", "pyth_api_url": "https://pyth.test"}
    told = finding(tmp_path, "pyth", Response(401, text="who?"), **given)
    assert (told.verdict, told.reachable, told.signed_in) == (Verdict.FAILED, True, False)


@pytest.mark.parametrize(
    ("age_s", "verdict"), [(10, Verdict.OK), (10_000, Verdict.WARNING), (-10_000, Verdict.WARNING)]
)
def test_a_price_that_would_not_count_is_a_warning(tmp_path: Path, age_s: int, verdict: Verdict) -> None:
    updated = int(CLOCK.now().timestamp()) - age_s
    body = {"akash-network": {"usd": 0.5, "last_updated_at": updated}}
    told = finding(tmp_path, "coingecko", Response(200, json=body), coingecko_api_url="https://gecko.test")
    assert told.verdict is verdict
    assert told.says.startswith("AKT at 0.5 USD")


@pytest.mark.parametrize("body", [{}, {"akash-network": {"usd": 0}}, []])
def test_a_source_that_gives_no_price_fails(tmp_path: Path, body: object) -> None:
    told = finding(tmp_path, "coingecko", Response(200, json=body), coingecko_api_url="https://gecko.test")
    assert (told.verdict, told.reachable) == (Verdict.FAILED, True)
