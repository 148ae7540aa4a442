"""The sandbox called in process, without a socket: for tests of its rules and its answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.sandbox.access import API_KEY
from necto_pipelines.sandbox.app import create_app

KEY = {"x-api-key": API_KEY}


@dataclass
class SandboxCaller:
    """One sandbox with its clock; `restart` makes a new one from the same state file."""

    clock: FrozenClock
    state_path: Path | None = None
    seed: int = 7
    headers: Mapping[str, str] = field(default_factory=lambda: dict(KEY))

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.app = create_app(clock=self.clock, seed=self.seed, state_path=self.state_path)

    def call(self, method: str, path: str, **request: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
                return await client.request(method, path, **({"headers": self.headers} | request))

        return asyncio.run(send())

    def get(self, path: str, **params: Any) -> Any:
        """The JSON of a successful read."""
        response = self.call("GET", path, params=params or None)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, path: str, body: Any) -> Any:
        """The JSON of a successful change."""
        response = self.call("POST", path, json=body)
        assert response.status_code in (200, 201), response.text
        return response.json()

    def create(self, sdl: str | None = None, deposit: float = 20) -> dict[str, Any]:
        """A new deployment: `dseq`, `manifest`, `signTx`."""
        made: dict[str, Any] = self.post(
            "/akash/v1/deployments", {"data": {"sdl": sdl or gpu_sdl(), "deposit": deposit}}
        )
        return made["data"]  # type: ignore[no-any-return]

    def bids(self, dseq: str) -> list[dict[str, Any]]:
        """Every visible bid, in the order they came."""
        return [row["bid"] for row in self.get("/akash/v1/bids", dseq=dseq)["data"]]

    def lease(self, made: Mapping[str, Any], bid: Mapping[str, Any]) -> httpx.Response:
        """Ask for a lease on a bid."""
        wanted = {name: bid["id"][name] for name in ("dseq", "gseq", "oseq", "provider")}
        return self.call("POST", "/akash/v1/leases", json={"manifest": made["manifest"], "leases": [wanted]})

    def leased(self, **asked: Any) -> tuple[str, dict[str, Any]]:
        """A deployment with a lease on its cheapest bid: its dseq and the bid."""
        made = self.create(**asked)
        self.clock.advance(61)
        bid = min(self.bids(made["dseq"]), key=lambda each: float(each["price"]["amount"]))
        assert self.lease(made, bid).status_code == 200
        return made["dseq"], bid

    def standing(self, dseq: str) -> dict[str, Any]:
        """The deployment with its leases and escrow account."""
        data: dict[str, Any] = self.get(f"/akash/v1/deployments/{dseq}")["data"]
        return data

    def providers(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get("/akash/v1/providers")
        return rows


def gpu_sdl(
    model: str = "h100",
    gpus: int = 1,
    *,
    amount: str = "100000",
    denom: str = "uact",
    attributes: str = "{}",
    signed_by: str = "akash1365yvmc4s7awdyj3n2sav7xfx76adc6dnmlx63",
    cpu: str = "8",
    memory: str = "32Gi",
) -> str:
    """An SDL for one container with GPUs."""
    return f"""
version: "2.0"
services:
  job:
    image: ghcr.io/necto-examples/cuda-job:1.0
    expose:
      - {{port: 8080, as: 80, to: [{{global: true}}]}}
      - {{port: 22, to: [{{global: true}}]}}
profiles:
  compute:
    job:
      resources:
        cpu: {{units: {cpu}}}
        memory: {{size: {memory}}}
        storage: {{size: 100Gi}}
        gpu: {{units: {gpus}, attributes: {{vendor: {{nvidia: [{{model: {model}}}]}}}}}}
  placement:
    any:
      attributes: {attributes}
      signedBy: {{anyOf: [{signed_by}]}}
      pricing:
        job: {{denom: {denom}, amount: {amount}}}
deployment:
  job:
    any: {{profile: job, count: 1}}
"""
