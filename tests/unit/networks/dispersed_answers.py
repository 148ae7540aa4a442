"""Dispersed's answers for the tests, in the shapes of its documentation, and a far side that gives them."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
from pydantic import SecretStr

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.model.order import GpuNeed, Requirement
from necto_pipelines.networks.port import Placement
from necto_pipelines.networks.render.adapter import DispersedNetwork

CARD = "0198ac1c-7063-4be8-bb94-57a5bd83548e"
JOB = "7b0f6a52-0000-4000-8000-00000000000a"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
NOON_MS = 1_795_348_800_000


def placement(**changes: Any) -> Placement:
    facts: dict[str, Any] = {
        "token": "ord_1-1",
        "requirement": Requirement(gpu=GpuNeed(model="RTX4090"), hours=Decimal(2), image="ghcr.io/acme/vllm:1.4"),
        "gpu_family": "RTX4090",
        "vram_gib": 24,
        "max_usd_per_hour": Decimal("0.50"),
        "deposit_usd": Decimal(1),
    }
    return Placement(**(facts | changes))


def hardware(name: str = "NVIDIA RTX 4090", count: int = 1, vram: int = 24, card: str | None = CARD) -> dict[str, Any]:
    model = {"name": name, "count": count, "min_vram_gib": vram, "gpu_registry_uuid": card}
    return {
        "gpu_count": count,
        "gpu_model_label": name,
        "gpu_registry_uuid": card,
        "gpu_models": [model],
        "min_gpu_vram_gib": vram,
        "cpu_cores": 16,
        "ram_gib": 64,
        "storage_gib": 500,
    }


def offer(offer_id: str = "of_1", region: str = "us-east-1", usd: object = 0.35, **of: Any) -> dict[str, Any]:
    return {
        "offer_id": offer_id,
        "region_code": region,
        "availability": {},
        "hardware_summary": hardware(**of),
        "pricing": {"hourly_rate_usd": usd, "quoted_at": "2026-07-01T00:00:00Z"},
    }


def page(*rows: object, total: int | None = None, number: int = 1) -> dict[str, Any]:
    return {"data": list(rows), "page": number, "limit": 50, "total": len(rows) if total is None else total}


def job(status: str = "PENDING", **more: Any) -> dict[str, Any]:
    return {
        "object": "job",
        "uuid": JOB,
        "status": status,
        "title": None,
        "gpu_name": "NVIDIA RTX 4090",
        "gpu_count": 1,
        "allowed_region_codes": ["us-east-1"],
        "created_at": "2026-11-22T12:00:00Z",
    } | more


def run(status: str = "RUNNING", usd: object = 0.35, **more: Any) -> dict[str, Any]:
    url = {"description": "8080", "hostname": "n1.example", "port": 41234, "protocol": "tcp", "tls": False}
    return {
        "uuid": "run-1",
        "job_uuid": JOB,
        "status": status,
        "started_at_ms": NOON_MS,
        "ended_at_ms": None,
        "duration_ms": None,
        "node_urls": [url] if status == "RUNNING" else [],
        "region_code": "us-east-1",
        "hardware_summary": hardware(),
        "pricing": {"hourly_rate_usd": usd},
    } | more


def booking(usd: object, at: str, job_uuid: str | None = JOB) -> dict[str, Any]:
    return {"uuid": f"t-{at}", "job_uuid": job_uuid, "amount_usd": usd, "created_at": at}


class Dispersed:
    """An API of canned answers: each path answers its next one, and the last one for ever."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: dict[tuple[str, str], list[httpx.Response | Exception]] = {}
        self.on("GET", "/v1/compute/offers", page(offer()))
        self.on("GET", "/v1/gpu-registry", page({"uuid": CARD, "name": "NVIDIA RTX 4090"}))
        self.on("GET", "/v1/job-runs", page())
        self.on("GET", "/v1/compute/ledger/transactions", httpx.Response(404, json=error("not_found")))

    def on(self, method: str, path: str, *answers: object, status: int = 200) -> "Dispersed":
        self.answers[method, path] = [
            a if isinstance(a, httpx.Response | Exception) else httpx.Response(status, json=a) for a in answers
        ]
        return self

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        queue = self.answers[request.method, request.url.path]
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, content=answer.content)

    def sent(self, method: str, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if (request.method, request.url.path) == (method, path)]


def error(code: str) -> dict[str, Any]:
    return {"error": {"code": code}}


def open_network(api: Dispersed, clock: FrozenClock) -> DispersedNetwork:
    return DispersedNetwork(
        base_url="https://dispersed.example",
        public_key="pk_test",
        secret_key=SecretStr("sk_test_secret"),
        mode=SourceMode.LIVE,
        clock=clock,
        attempts=2,
        transport=httpx.MockTransport(api),
    )
