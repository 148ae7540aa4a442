"""The tenant's own side of the Console API: money, access to providers, automatic funding, usage, and bid screening.

What is bought stands in `adapter.py`. Shapes: the API's OpenAPI description (2026-11-22).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from necto_pipelines.failures import InvalidInput, Problem, Refused
from necto_pipelines.fetching import DEFAULT_BUDGET, Budget, Fetcher
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import Clock
from necto_pipelines.networks.akash.refusals import explained_refusals
from necto_pipelines.networks.akash.screening import (
    TIMEZONE,
    ScreenedProvider,
    not_offered,
    screened,
    screening_request,
)
from necto_pipelines.networks.akash.wire import read_list
from necto_pipelines.networks.reading import read_as, read_rows

LONGEST_TOKEN_S: Final = 900
"""providers take no token that lives longer (AEP-64)"""
Scope = Literal[
    "send-manifest", "get-manifest", "logs", "shell", "events", "status", "restart", "hostname-migrate", "ip-migrate"
]
Dollars = Annotated[Decimal, Field(allow_inf_nan=False)]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class Balances(_Wire):
    """US dollars of the managed wallet."""

    free_usd: Dollars = Field(alias="balance")
    in_deployments_usd: Dollars = Field(alias="deployments")
    """deposits that stand in escrow; what is left comes back"""
    total_usd: Dollars = Field(alias="total")


class Wallet(_Wire):
    """A managed wallet."""

    address: str = Field(min_length=1)
    credit_usd: Dollars = Field(alias="creditAmount")
    is_trial: bool = Field(alias="isTrialing")
    """a trial wallet gets no bids for the better GPUs"""


class FundingSettings(_Wire):
    """How a deployment is kept funded. The service keeps 48 hours of runway and looks 24 hours ahead."""

    dseq: str
    automatic: bool = Field(alias="autoTopUpEnabled")
    estimated_top_up_uact: Annotated[Decimal, Field(ge=0, allow_inf_nan=False, alias="estimatedTopUpAmount")]
    """what one top-up will take, in micro-ACT; 0 while `automatic` is off"""
    every_ms: Annotated[Decimal, Field(ge=0, allow_inf_nan=False, alias="topUpFrequencyMs")]


class UsageDay(_Wire):
    """What a wallet spent on one day, and in all up to it."""

    date: date
    active_deployments: int = Field(alias="activeDeployments")
    act: Dollars = Field(alias="dailyActSpent")
    usd: Dollars = Field(alias="dailyUsdSpent")
    total_usd: Dollars = Field(alias="totalUsdSpent")


class UsageSummary(_Wire):
    """The same over a period."""

    total_usd: Dollars = Field(alias="totalSpent")
    usd_per_day: Dollars = Field(alias="averageSpentPerDay")
    deployments: Decimal = Field(alias="totalDeployments")
    deployments_per_day: Decimal = Field(alias="averageDeploymentsPerDay")


class _User(_Wire):
    id: str


class _Token(_Wire):
    token: SecretStr = Field(min_length=1)


class _BalancesAnswer(_Wire):
    data: Balances


class _UserAnswer(_Wire):
    data: _User


class _WalletsAnswer(_Wire):
    data: tuple[Wallet, ...]


class _TokenAnswer(_Wire):
    data: _Token


class _FundingAnswer(_Wire):
    data: FundingSettings


@dataclass(frozen=True)
class ProviderAccess:
    """What a token may do at one provider."""

    provider: str
    scope: tuple[Scope, ...]


class AkashAccount:
    """The account behind one API key. Raises `Refused` or `Unavailable`; safe to share between threads."""

    def __init__(
        self,
        *,
        base_url: str,
        api_key: SecretStr | None,
        clock: Clock,
        timeout_s: float = 30.0,
        attempts: int = 4,
        budget: Budget = DEFAULT_BUDGET,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        key = {"x-api-key": api_key.get_secret_value()} if api_key else {}
        self._public, self._signed_in = (
            Fetcher(
                base_url,
                clock=clock,
                headers=headers,
                timeout_s=timeout_s,
                attempts=attempts,
                budget=budget,
                transport=transport,
            )
            for headers in ({}, key)
        )

    def balances(self) -> Balances:
        """What the wallet holds. Also the cheapest way to learn whether the key is accepted."""
        with explained_refusals():
            return read_as(self._signed_in.get("/v1/balances"), _BalancesAnswer).data

    def wallets(self) -> tuple[Wallet, ...]:
        """The wallets of the key's user."""
        with explained_refusals():
            user = read_as(self._signed_in.get("/v1/user/me"), _UserAnswer).data
            return read_as(self._signed_in.get("/v1/wallets", {"userId": user.id}), _WalletsAnswer).data

    def provider_token(self, access: Sequence[ProviderAccess], *, ttl_s: int = LONGEST_TOKEN_S) -> SecretStr:
        """A token for talking to the gateways of these providers, good for `ttl_s` seconds and for nothing else.

        The answer that carries it is not kept. `InvalidInput` for a time or an access that providers would not take.
        """
        problems = [] if 0 < ttl_s <= LONGEST_TOKEN_S else [Problem("ttl_s", ttl_s, f"1 to {LONGEST_TOKEN_S} seconds")]
        if not access or not all(one.scope for one in access):
            problems.append(Problem("access", None, "name at least one provider, each with at least one scope"))
        if problems:
            raise InvalidInput(problems)
        permissions = [{"provider": one.provider, "access": "scoped", "scope": list(one.scope)} for one in access]
        body = {"data": {"ttl": ttl_s, "leases": {"access": "granular", "permissions": permissions}}}
        with explained_refusals():
            # Making a second token harms nobody, so a lost reply may be followed by another call.
            return read_as(self._signed_in.put_again("POST", "/v1/create-jwt-token", body), _TokenAnswer).data.token

    def funding(self, dseq: str) -> FundingSettings:
        """How the deployment is kept funded."""
        with explained_refusals():
            return read_as(self._signed_in.get(f"/v2/deployment-settings/{dseq}"), _FundingAnswer).data

    def fund_automatically(self, dseq: str, automatic: bool) -> FundingSettings:
        """Switch automatic top-ups on or off. `Refused` where the platform does not let them be switched off."""
        body = {"data": {"autoTopUpEnabled": automatic}}
        with explained_refusals():
            answer = self._signed_in.put_again("PATCH", f"/v2/deployment-settings/{dseq}", body)
        return read_as(answer, _FundingAnswer).data

    def usage(self, address: str, *, start: date | None = None, end: date | None = None) -> Listing[UsageDay]:
        """Day by day; without `start` the thirty days before `end`, without `end` up to today. `address` is a wallet's:
        the service infers none, whatever its documents say (2026-07-17)."""
        with explained_refusals():
            answer = self._public.get("/v1/usage/history", _period(address, start, end))
        rows, faulty = read_rows(answer, read_list(answer), UsageDay, named_by=("date",))
        return Listing(tuple(rows), (answer,), tuple(faulty))

    def usage_summary(self, address: str, *, start: date | None = None, end: date | None = None) -> UsageSummary:
        """Totals over the same days."""
        with explained_refusals():
            return read_as(self._public.get("/v1/usage/history/stats", _period(address, start, end)), UsageSummary)

    def screen(
        self, group: Mapping[str, Any], *, timezone: str = TIMEZONE, reclamation_window_s: int | None = None
    ) -> Listing[ScreenedProvider]:
        """Providers with room for one group spec (`sdl.groups_of`), before anything is created or paid.

        No rows say nothing about capacity, and `quarantined` says why there are none: the feature may be switched off,
        as an empty list or as 404.
        """
        body = screening_request(group, timezone=timezone, reclamation_window_s=reclamation_window_s)
        try:
            with explained_refusals():
                answer = self._public.put_again("POST", "/v1/bid-screening", body)
        except Refused as error:
            if error.code not in {"not_found", "404"}:
                raise
            return not_offered(str(error))
        return screened(answer)

    def close_connections(self) -> None:
        """Give back the connections."""
        self._public.close()
        self._signed_in.close()


def _period(address: str, start: date | None, end: date | None) -> dict[str, str]:
    dates = {"startDate": start, "endDate": end}
    return {"address": address} | {name: day.isoformat() for name, day in dates.items() if day}
