"""Opens Render as the settings say: Dispersed at its address with its key pair, rendering jobs at the sandbox."""

from typing import Final

from pydantic import SecretStr

from necto_pipelines.fetching import DEFAULT_BUDGET, Budget
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.render.adapter import LIVE_URL, DispersedNetwork
from necto_pipelines.networks.render.jobs import RenderJobs
from necto_pipelines.settings import Settings

BUDGET: Final = Budget(at_once=4, requests=30, per_s=10)
"""Dispersed publishes no limit (2026-11-22)"""
SANDBOX_PUBLIC_KEY: Final = "pk_sandbox_" + "0" * 32
SANDBOX_SECRET_KEY: Final = SecretStr("sk_sandbox_" + "0" * 64)
"""the pair opens nothing but the sandbox's own account"""


def open_dispersed(settings: Settings, clock: Clock) -> DispersedNetwork:
    """The network; nothing is called yet."""
    sandbox = settings.dispersed_mode == "sandbox"
    return DispersedNetwork(
        base_url=dispersed_url(settings),
        public_key=settings.dispersed_public_key or (SANDBOX_PUBLIC_KEY if sandbox else ""),
        secret_key=settings.dispersed_secret_key or (SANDBOX_SECRET_KEY if sandbox else None),
        mode=SourceMode(settings.dispersed_mode),
        clock=clock,
        timeout_s=settings.request_timeout_s,
        budget=DEFAULT_BUDGET if sandbox else BUDGET,
    )


def open_render_jobs(settings: Settings, clock: Clock) -> RenderJobs:
    """The simulated portal: Render publishes no API, so there is no other."""
    return RenderJobs(base_url=render_jobs_url(settings), clock=clock, timeout_s=settings.request_timeout_s)


def dispersed_url(settings: Settings) -> str:
    """Where Dispersed is asked."""
    own = f"{settings.sandbox_url}/dispersed" if settings.dispersed_mode == "sandbox" else LIVE_URL
    return settings.dispersed_api_url or own


def render_jobs_url(settings: Settings) -> str:
    """Where rendering jobs are simulated."""
    return f"{settings.sandbox_url}/render-jobs"
