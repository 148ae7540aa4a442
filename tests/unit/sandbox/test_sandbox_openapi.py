"""Every answer fits the schema that the real Console API publishes for it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.sandbox_app import SandboxCaller, gpu_sdl

from necto_pipelines.networks.akash import sdl
from necto_pipelines.networks.akash.screening import screening_request

ROOT = Path(__file__).resolve().parents[3]
SPEC = Path(os.environ.get("NECTO_SHARED") or ROOT.parent / "shared") / "data" / "akash" / "console_openapi.json"
pytestmark = pytest.mark.skipif(not SPEC.exists(), reason="the network's OpenAPI file is not at hand")
Read = Callable[[SandboxCaller], Any]


def deployment_with_lease(sandbox: SandboxCaller) -> str:
    return sandbox.leased()[0]


def leased_answer(sandbox: SandboxCaller) -> Any:
    made = sandbox.create()
    sandbox.clock.advance(61)
    return sandbox.lease(made, sandbox.bids(made["dseq"])[0]).json()


def closed(sandbox: SandboxCaller) -> Any:
    dseq = deployment_with_lease(sandbox)
    sandbox.clock.advance(3600)
    sandbox.call("DELETE", f"/akash/v1/deployments/{dseq}")
    return sandbox.get(f"/akash/v1/deployments/{dseq}")


def two_pages(sandbox: SandboxCaller) -> Any:
    deployment_with_lease(sandbox)
    sandbox.create()
    return sandbox.get("/akash/v1/deployments", skip=0, limit=1)


def bids_of(sandbox: SandboxCaller, path: str) -> Any:
    made = sandbox.create()
    sandbox.clock.advance(61)
    answer = sandbox.get(path.format(dseq=made["dseq"]))
    assert answer["data"]
    return answer


def address_of(sandbox: SandboxCaller) -> str:
    [wallet] = wallets(sandbox)["data"]
    return str(wallet["address"])


def wallets(sandbox: SandboxCaller) -> Any:
    return sandbox.get("/akash/v1/wallets", userId=sandbox.get("/akash/v1/user/me")["data"]["id"])


def usage(sandbox: SandboxCaller, path: str) -> Any:
    deployment_with_lease(sandbox)
    sandbox.clock.advance(3600)
    return sandbox.get(path, address=address_of(sandbox))


def funded(sandbox: SandboxCaller) -> Any:
    path = f"/akash/v2/deployment-settings/{deployment_with_lease(sandbox)}"
    return sandbox.call("PATCH", path, json={"data": {"autoTopUpEnabled": True}}).json()


def screening(sandbox: SandboxCaller) -> Any:
    body = screening_request(sdl.groups_of(gpu_sdl("rtx4090"))[0])
    answer = sandbox.post("/akash/v1/bid-screening", body)
    assert answer["providers"]
    return answer


TOKEN_REQUEST = {"data": {"ttl": 60, "leases": {"access": "granular", "permissions": []}}}


def get(path: str) -> Read:
    return lambda sandbox: sandbox.get(f"/akash{path}")


CASES: list[tuple[str, str, str, Read]] = [
    ("get", "/v1/providers", "200", get("/v1/providers")),
    ("get", "/v1/gpu-prices", "200", get("/v1/gpu-prices")),
    ("get", "/v1/gpu-prices", "200", get("/v1/gpu-prices?debug=true")),
    ("get", "/v1/gpu", "200", get("/v1/gpu")),
    ("get", "/v1/network-capacity", "200", get("/v1/network-capacity")),
    ("get", "/v1/market-data/{coin?}", "200", get("/v1/market-data")),
    ("get", "/v1/market-data/{coin?}", "200", get("/v1/market-data/akash-network")),
    ("get", "/v1/auditors", "200", get("/v1/auditors")),
    ("get", "/v1/blocks", "200", get("/v1/blocks")),
    ("get", "/v1/blocks/{height}", "200", get("/v1/blocks/27761552")),
    ("get", "/v1/blockchain-status", "200", get("/v1/blockchain-status")),
    ("get", "/v1/user/me", "200", get("/v1/user/me")),
    ("get", "/v1/balances", "200", get("/v1/balances")),
    (
        "post",
        "/v1/deployments",
        "201",
        lambda sandbox: sandbox.post("/akash/v1/deployments", {"data": {"sdl": gpu_sdl(), "deposit": 5}}),
    ),
    ("get", "/v1/deployments", "200", get("/v1/deployments")),
    ("get", "/v1/deployments", "200", two_pages),
    ("get", "/v1/deployments/{dseq}", "200", lambda s: s.get(f"/akash/v1/deployments/{deployment_with_lease(s)}")),
    ("get", "/v1/deployments/{dseq}", "200", closed),
    (
        "delete",
        "/v1/deployments/{dseq}",
        "200",
        lambda s: s.call("DELETE", f"/akash/v1/deployments/{deployment_with_lease(s)}").json(),
    ),
    ("get", "/v1/bids", "200", lambda sandbox: bids_of(sandbox, "/akash/v1/bids?dseq={dseq}")),
    ("get", "/v1/bids/{dseq}", "200", lambda sandbox: bids_of(sandbox, "/akash/v1/bids/{dseq}")),
    ("post", "/v1/leases", "200", leased_answer),
    ("get", "/v1/wallets", "200", wallets),
    ("get", "/v1/usage/history", "200", lambda sandbox: usage(sandbox, "/akash/v1/usage/history")),
    ("get", "/v1/usage/history/stats", "200", lambda sandbox: usage(sandbox, "/akash/v1/usage/history/stats")),
    ("get", "/v2/deployment-settings/{dseq}", "200", get("/v2/deployment-settings/1784563200123")),
    ("patch", "/v2/deployment-settings/{dseq}", "200", funded),
    (
        "post",
        "/v1/create-jwt-token",
        "201",
        lambda sandbox: sandbox.post("/akash/v1/create-jwt-token", TOKEN_REQUEST),
    ),
    ("post", "/v1/bid-screening", "200", screening),
]


def strict(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: `nullable` becomes a type, so that null passes just where it may stand.

    The published file has lost a backslash: its `^d+$` for numbers of deployments is meant as `^\\d+$`.
    """
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return r"^\d+$" if schema == "^d+$" else schema
    plain = {name: strict(value) for name, value in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def schema_of(method: str, path: str, status: str) -> Any:
    spec = json.loads(SPEC.read_text())
    answer = spec["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    return strict(answer)


@pytest.mark.parametrize(("method", "path", "status", "read"), CASES)
def test_the_answer_fits_the_published_schema(
    sandbox: SandboxCaller, method: str, path: str, status: str, read: Read
) -> None:
    jsonschema.Draft7Validator(schema_of(method, path, status)).validate(read(sandbox))


def test_the_schemas_are_really_looked_at() -> None:
    validator = jsonschema.Draft7Validator(schema_of("get", "/v1/balances", "200"))

    assert not validator.is_valid({"data": {"balance": None, "deployments": 0, "total": 0}})
    assert not validator.is_valid({"data": {"balance": 1}})
    prices = jsonschema.Draft7Validator(schema_of("get", "/v1/gpu-prices", "200"))
    assert prices.is_valid({"availability": {"total": 1, "available": 1}, "models": []})
