"""The account's calls against documented answers."""

import json
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from necto_pipelines.failures import InvalidInput, Refused, Unavailable
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.networks.akash.account import AkashAccount, ProviderAccess

KEY = "ac.sk.test." + "7" * 64
TOKEN = "eyJhbGciOiJFUzI1NksifQ.eyJpc3MiOiJha2FzaDFvIn0.c2ln"
STATUS_ONLY = ProviderAccess("akash1p", ("status", "logs"))
SETTING = {
    "id": "5f0c6f2e-0000-4000-8000-000000000000",
    "userId": "user-1",
    "dseq": "1784563200123",
    "autoTopUpEnabled": True,
    "estimatedTopUpAmount": 63705600,
    "topUpFrequencyMs": 86400000,
    "createdAt": "2026-07-17T20:07:00.000Z",
    "updatedAt": "2026-07-17T20:07:00.000Z",
}
DAY = {
    "date": "2026-07-17",
    "activeDeployments": 3,
    "dailyAktSpent": 0,
    "totalAktSpent": 0,
    "dailyUsdcSpent": 0,
    "totalUsdcSpent": 0,
    "dailyActSpent": 5.25,
    "totalActSpent": 52.5,
    "dailyUsdSpent": 5.25,
    "totalUsdSpent": 52.5,
}


class Console:
    """A Console API of canned answers by method and path."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], httpx.Response] = {}

    def on(self, method: str, path: str, body: object, status: int = 200) -> "Console":
        self.answers[method, path] = httpx.Response(status, json=body)
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers[request.method, request.url.path]
        return httpx.Response(answer.status_code, content=answer.content)


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
def account(console: Console) -> AkashAccount:
    return AkashAccount(
        base_url="https://console.example",
        api_key=SecretStr(KEY),
        clock=FrozenClock(),
        attempts=1,
        transport=httpx.MockTransport(console),
    )


def test_balances_are_exact_dollars(console: Console, account: AkashAccount) -> None:
    console.on("GET", "/v1/balances", {"data": {"balance": 93.1, "deployments": 6.9, "total": 100}})
    balances = account.balances()
    assert (balances.free_usd, balances.in_deployments_usd) == (Decimal("93.1"), Decimal("6.9"))
    assert balances.total_usd == 100
    assert console.requests[0].headers["x-api-key"] == KEY


def test_a_refused_key_names_the_setting_and_never_shows_the_key(console: Console, account: AkashAccount) -> None:
    refusal = {"error": "UnauthorizedError", "message": "Invalid API key", "code": "unauthorized"}
    console.on("GET", "/v1/balances", refusal, 401)
    with pytest.raises(Refused, match="NECTO_AKASH_API_KEY") as failure:
        account.balances()
    assert KEY not in str(failure.value)


def test_wallets_are_those_of_the_keys_own_user(console: Console, account: AkashAccount) -> None:
    console.on("GET", "/v1/user/me", {"data": {"id": "user-1", "userId": "auth0|1"}})
    wallet = {"id": 1, "userId": "user-1", "creditAmount": 10.5, "address": "akash1o", "isTrialing": True}
    console.on("GET", "/v1/wallets", {"data": [wallet]})
    [found] = account.wallets()
    assert (found.address, found.credit_usd, found.is_trial) == ("akash1o", Decimal("10.5"), True)
    assert console.requests[-1].url.params["userId"] == "user-1"


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_these_providers_and_uses_only(console: Console, account: AkashAccount) -> None:
    console.on("POST", "/v1/create-jwt-token", {"data": {"token": TOKEN}}, 201)
    token = account.provider_token([STATUS_ONLY], ttl_s=60)
    assert token.get_secret_value() == TOKEN
    assert TOKEN not in repr(token)
    permission = {"provider": "akash1p", "access": "scoped", "scope": ["status", "logs"]}
    assert json.loads(console.requests[0].content) == {
        "data": {"ttl": 60, "leases": {"access": "granular", "permissions": [permission]}}
    }


@pytest.mark.parametrize(
    ("access", "ttl_s", "fields"),
    [
        ([STATUS_ONLY], 0, ["ttl_s"]),
        ([STATUS_ONLY], 901, ["ttl_s"]),
        ([], 60, ["access"]),
        ([ProviderAccess("akash1p", ())], 1000, ["ttl_s", "access"]),
    ],
)
def test_a_token_that_no_provider_takes_is_not_asked_for(
    console: Console, account: AkashAccount, access: list[ProviderAccess], ttl_s: int, fields: list[str]
) -> None:
    with pytest.raises(InvalidInput) as failure:
        account.provider_token(access, ttl_s=ttl_s)
    assert [problem.field for problem in failure.value.problems] == fields
    assert not console.requests


@pytest.mark.parametrize("body", [{"data": {"token": 7, "also": TOKEN}}, {"data": TOKEN}, {"token": TOKEN}])
def test_a_token_in_an_answer_of_another_shape_is_not_shown(
    console: Console, account: AkashAccount, body: object
) -> None:
    console.on("POST", "/v1/create-jwt-token", body, 201)
    with pytest.raises(Unavailable) as failure:
        account.provider_token([STATUS_ONLY])
    assert TOKEN not in str(failure.value)


# --- funding --------------------------------------------------------------------------------------------------------


def test_funding_says_what_the_next_top_up_takes(console: Console, account: AkashAccount) -> None:
    console.on("GET", "/v2/deployment-settings/17", {"data": SETTING})
    funding = account.funding("17")
    assert (funding.dseq, funding.automatic) == ("1784563200123", True)
    assert (funding.estimated_top_up_uact, funding.every_ms) == (63_705_600, 86_400_000)


def test_funding_is_switched_by_one_field(console: Console, account: AkashAccount) -> None:
    console.on("PATCH", "/v2/deployment-settings/17", {"data": SETTING | {"autoTopUpEnabled": False}})
    assert account.fund_automatically("17", False).automatic is False
    assert json.loads(console.requests[0].content) == {"data": {"autoTopUpEnabled": False}}


def test_a_platform_that_does_not_let_go_of_funding_refuses(console: Console, account: AkashAccount) -> None:
    message = "Automatic deployment funding cannot be turned off."
    refusal = {"error": "BadRequestError", "message": message, "code": "bad_request"}
    console.on("PATCH", "/v2/deployment-settings/17", refusal, 400)
    with pytest.raises(Refused, match="cannot be turned off"):
        account.fund_automatically("17", False)


# --- usage ----------------------------------------------------------------------------------------------------------


def test_usage_is_told_day_by_day_for_an_address(console: Console, account: AkashAccount) -> None:
    console.on("GET", "/v1/usage/history", [DAY, {"date": "2026-07-18"}])
    listing = account.usage("akash1o", start=date(2026, 7, 17), end=date(2026, 7, 18))
    [day] = listing.rows
    assert (day.date, day.active_deployments, day.usd, day.total_usd) == (
        date(2026, 7, 17),
        3,
        Decimal("5.25"),
        Decimal("52.5"),
    )
    assert [what for what, _ in listing.quarantined] == ["2026-07-18"]
    asked = dict(console.requests[0].url.params)
    assert asked == {"address": "akash1o", "startDate": "2026-07-17", "endDate": "2026-07-18"}
    assert "x-api-key" not in console.requests[0].headers


def test_usage_can_be_summed_up(console: Console, account: AkashAccount) -> None:
    body = {"totalSpent": 1234.56, "averageSpentPerDay": 12.34, "totalDeployments": 15, "averageDeploymentsPerDay": 1.5}
    console.on("GET", "/v1/usage/history/stats", body)
    summary = account.usage_summary("akash1o")
    assert (summary.total_usd, summary.deployments) == (Decimal("1234.56"), 15)
    assert dict(console.requests[0].url.params) == {"address": "akash1o"}


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/v1/balances", lambda account: account.balances()),
        ("/v1/usage/history/stats", lambda account: account.usage_summary("akash1o")),
        ("/v1/usage/history", lambda account: account.usage("akash1o")),
        ("/v2/deployment-settings/17", lambda account: account.funding("17")),
    ],
)
@pytest.mark.parametrize("body", [{"data": {"balance": "much"}}, {}, "text", [{"date": 7}]])
def test_an_answer_of_another_shape_is_unavailable(
    console: Console, account: AkashAccount, path: str, call: Callable[[AkashAccount], Any], body: object
) -> None:
    console.on("GET", path, body)
    with pytest.raises(Unavailable, match="unexpected shape"):
        call(account)
