"""Bid screening: the request made of a group spec, and what the answer does and does not say."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from pydantic import SecretStr
from support.sandbox_app import gpu_sdl

from necto_pipelines.failures import Refused, Unavailable
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.networks.akash import sdl
from necto_pipelines.networks.akash.account import AkashAccount
from necto_pipelines.networks.akash.screening import TIMEZONE, screening_request

ROOT = Path(__file__).resolve().parents[3]
SPEC = Path(os.environ.get("NECTO_SHARED") or ROOT.parent / "shared") / "data" / "akash" / "console_openapi.json"
[GROUP] = sdl.groups_of(gpu_sdl(attributes="{location-region: eu-west}", amount="4895.833334"))
DAY = {"date": "2026-06-01", "hasOpenIncident": False, "incidentCount": 2, "downtimeSeconds": 900}
PROVIDER = {
    "owner": "akash1p",
    "hostUri": "https://provider.example:8443",
    "isAudited": True,
    "createdAt": "2026-01-01T00:00:00.000Z",
    "location": None,
    "organization": "Example",
    "incidents": [
        DAY,
        DAY | {"date": "2026-06-02", "hasOpenIncident": True, "incidentCount": 1, "downtimeSeconds": 60},
    ],
}


def account(
    handler: Callable[[httpx.Request], httpx.Response], asked: list[httpx.Request] | None = None
) -> AkashAccount:
    def remember(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        return handler(request)

    return AkashAccount(
        base_url="https://console.example",
        api_key=SecretStr("ac.sk.secret"),
        clock=FrozenClock(),
        attempts=1,
        transport=httpx.MockTransport(remember),
    )


def answering(status: int = 200, **body: Any) -> AkashAccount:
    return account(lambda _: httpx.Response(status, json=body))


def test_a_group_is_asked_for_under_the_services_names() -> None:
    body = screening_request(GROUP)
    [item] = body["resources"]
    unit = item["resource"]
    assert body["requirements"] == {
        "signedBy": {"allOf": [], "anyOf": ["akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63"]},
        "attributes": [{"key": "location-region", "value": "eu-west"}],
    }
    assert unit["cpu"]["units"] == {"val": "8000"}
    assert unit["memory"] == {"quantity": {"val": str(32 * 2**30)}, "attributes": []}
    assert unit["gpu"]["units"] == {"val": "1"}
    assert unit["gpu"]["attributes"] == [{"key": "vendor/nvidia/model/h100", "value": "true"}]
    assert [disk["quantity"] for disk in unit["storage"]] == [{"val": str(100 * 2**30)}]
    assert (item["count"], body["timezone"]) == (1, TIMEZONE)
    assert "reclamationWindow" not in body


def test_a_price_is_made_whole_upwards_because_the_service_takes_no_fraction() -> None:
    assert screening_request(GROUP)["resources"][0]["price"] == {"denom": "uact", "amount": "4896"}


def test_the_zone_is_none_that_the_live_service_refuses() -> None:
    assert not TIMEZONE.startswith(("Etc/", "UTC"))


def test_a_reclamation_window_is_asked_in_seconds() -> None:
    assert screening_request(GROUP, reclamation_window_s=3600)["reclamationWindow"] == 3600


@pytest.mark.skipif(not SPEC.exists(), reason="the network's OpenAPI file is not at hand")
@pytest.mark.parametrize("text", [gpu_sdl(), gpu_sdl(attributes="{region: us-west}", gpus=8)])
def test_the_request_fits_the_published_schema(text: str) -> None:
    spec = json.loads(SPEC.read_text())
    schema = spec["paths"]["/v1/bid-screening"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    # OpenAPI 3.0 writes exclusive bounds as flags; the draft of JSON Schema that does so too is the fourth.
    jsonschema.Draft4Validator(schema).validate(screening_request(sdl.groups_of(text)[0], reclamation_window_s=60))


def test_providers_with_room_come_with_their_bad_days() -> None:
    listing = answering(providers=[PROVIDER]).screen(GROUP)
    [provider] = listing.rows
    assert (provider.provider, provider.is_audited, provider.location) == ("akash1p", True, None)
    assert (provider.incidents, provider.downtime_s, provider.down_now) == (3, 960, True)
    assert len(listing.raw) == 1
    assert listing.quarantined == ()


def test_screening_needs_no_key_and_shows_none() -> None:
    asked: list[httpx.Request] = []
    account(lambda _: httpx.Response(200, json={"providers": []}), asked).screen(GROUP)
    assert (asked[0].method, asked[0].url.path) == ("POST", "/v1/bid-screening")
    assert "x-api-key" not in asked[0].headers


def test_an_empty_list_does_not_mean_that_nobody_has_room() -> None:
    listing = answering(providers=[]).screen(GROUP)
    assert listing.rows == ()
    [(what, why)] = listing.quarantined
    assert what == "bid screening"
    assert "switched off" in why


def test_where_the_feature_is_not_there_nothing_is_known() -> None:
    missing = {"error": "NotFoundError", "message": "Not Found", "code": "not_found", "type": "client_error"}
    for answer in (httpx.Response(404, json=missing), httpx.Response(404, text="404 page not found")):
        listing = account(lambda _, answer=answer: answer).screen(GROUP)  # type: ignore[misc]
        assert (listing.rows, listing.raw) == ((), ())
        assert "does not offer" in listing.quarantined[0][1]


def test_an_odd_provider_is_set_aside_by_name() -> None:
    listing = answering(providers=[PROVIDER, {"owner": "akash1odd"}]).screen(GROUP)
    assert [row.provider for row in listing.rows] == ["akash1p"]
    assert listing.quarantined[0][0] == "akash1odd"


def test_a_refused_zone_is_refused() -> None:
    issue = {"code": "custom", "path": ["timezone"], "message": "Timezone is not supported"}
    error = {"error": "BadRequestError", "message": "Validation error", "code": "validation_error", "data": [issue]}
    with pytest.raises(Refused, match="Timezone") as failure:
        answering(400, **error).screen(GROUP, timezone="Etc/UTC")
    assert failure.value.code == "validation_error"


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(200, json={"data": []})])
def test_no_usable_answer_is_unavailable(answer: httpx.Response) -> None:
    with pytest.raises(Unavailable):
        account(lambda _: answer).screen(GROUP)
