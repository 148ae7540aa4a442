"""Bid screening (AEP-67): which providers have room for a group of an SDL, asked before any money moves. Pure.

Shapes: akash-network/console apps/api/src/bid-screening/http-schemas (@2f954fb95f0b) and its OpenAPI description.
The call itself stands in `account.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from necto_pipelines.model.answer import Listing, RawAnswer
from necto_pipelines.networks.reading import read_as, read_rows

TIMEZONE: Final = "America/Chicago"
"""whose days incidents are counted by. Not UTC: the live service refused `Etc/UTC` on 2026-07-17"""
WHAT: Final = "bid screening"
NOT_OFFERED: Final = "the network does not offer it here"
NOBODY: Final = "no provider was named: nobody has room, or the feature is switched off, which looks the same"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True)


class WireIncidentDay(_Wire):
    """Downtime of a provider within one day."""

    date: date
    has_open_incident: bool = Field(alias="hasOpenIncident")
    incident_count: Annotated[int, Field(ge=0, alias="incidentCount")]
    downtime_seconds: Annotated[int, Field(ge=0, alias="downtimeSeconds")]


class WireScreened(_Wire):
    """A provider with room for the group."""

    owner: str = Field(min_length=1)
    host_uri: str = Field(alias="hostUri")
    is_audited: bool = Field(alias="isAudited")
    created_at: AwareDatetime = Field(alias="createdAt")
    location: str | None
    organization: str | None
    incidents: tuple[WireIncidentDay, ...]


class WireScreening(_Wire):
    """`POST /v1/bid-screening`; the rows are checked one by one."""

    providers: list[object]


@dataclass(frozen=True)
class ScreenedProvider:
    """A provider with room for the group now, and how often it was down over the last seven days."""

    provider: str
    host_uri: str
    is_audited: bool
    """signed by an auditor that the Console knows"""
    location: str | None
    organization: str | None
    incidents: int
    downtime_s: int
    down_now: bool


def screening_request(
    group: Mapping[str, Any], *, timezone: str = TIMEZONE, reclamation_window_s: int | None = None
) -> dict[str, Any]:
    """The body for one group spec, as `sdl.groups_of` makes it.

    The service takes whole prices only, so they are rounded up: what fits below the real ceiling is then never lost.
    Endpoints are left out: they take no capacity.
    """
    signed_by = group["requirements"].get("signed_by") or {}
    body: dict[str, Any] = {
        "requirements": {
            "signedBy": {"allOf": signed_by.get("all_of") or [], "anyOf": signed_by.get("any_of") or []},
            "attributes": _attributes(group["requirements"].get("attributes")),
        },
        "resources": [
            {
                "resource": _resource(item["resource"]),
                "count": item["count"],
                "price": {"denom": item["price"]["denom"], "amount": _whole(item["price"]["amount"])},
            }
            for item in group["resources"]
        ],
        "timezone": timezone,
    }
    return body | ({"reclamationWindow": reclamation_window_s} if reclamation_window_s else {})


def screened(answer: RawAnswer) -> Listing[ScreenedProvider]:
    """The providers with room. Emptiness is told as not known, because the service cannot say that nobody fits."""
    items = read_as(answer, WireScreening).providers
    rows, faulty = read_rows(answer, items, WireScreened, named_by=("owner",))
    if not items:
        faulty = [(WHAT, NOBODY)]
    return Listing(tuple(_screened(row) for row in rows), (answer,), tuple(faulty))


def not_offered(reason: str) -> Listing[ScreenedProvider]:
    """What is known where the network does not screen: nothing."""
    return Listing((), (), ((WHAT, f"{NOT_OFFERED} ({reason})"),))


def _resource(unit: Mapping[str, Any]) -> dict[str, Any]:
    """A resource unit under the service's names: `quantity` where group specs say `size`."""
    gpu = unit.get("gpu") or {}
    return {
        "id": unit["id"],
        "cpu": {
            "units": {"val": unit["cpu"]["units"]["val"]},
            "attributes": _attributes(unit["cpu"].get("attributes")),
        },
        "memory": {
            "quantity": {"val": unit["memory"]["size"]["val"]},
            "attributes": _attributes(unit["memory"].get("attributes")),
        },
        "gpu": {
            "units": {"val": (gpu.get("units") or {}).get("val") or "0"},
            "attributes": _attributes(gpu.get("attributes")),
        },
        "storage": [
            {
                "name": disk["name"],
                "quantity": {"val": disk["size"]["val"]},
                "attributes": _attributes(disk.get("attributes")),
            }
            for disk in unit["storage"]
        ],
    }


def _attributes(attributes: Sequence[Mapping[str, str]] | None) -> list[dict[str, str]]:
    return [{"key": item["key"], "value": item["value"]} for item in attributes or ()]


def _whole(amount: str) -> str:
    return str(Decimal(amount).to_integral_value(rounding=ROUND_CEILING))


def _screened(row: WireScreened) -> ScreenedProvider:
    return ScreenedProvider(
        provider=row.owner,
        host_uri=row.host_uri,
        is_audited=row.is_audited,
        location=row.location,
        organization=row.organization,
        incidents=sum(day.incident_count for day in row.incidents),
        downtime_s=sum(day.downtime_seconds for day in row.incidents),
        down_now=any(day.has_open_incident for day in row.incidents),
    )
