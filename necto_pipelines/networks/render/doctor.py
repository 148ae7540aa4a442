"""How Render is tested by `necto doctor`: Dispersed by a signed read, rendering jobs by their simulated credit."""

from collections.abc import Iterator
from functools import partial
from typing import Final

from necto_pipelines.model.clock import Clock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.model.money import plain
from necto_pipelines.networks.render.opening import dispersed_url, open_dispersed, open_render_jobs, render_jobs_url
from necto_pipelines.reaching import Asking, Heard
from necto_pipelines.settings import Settings, variable

KEYS: Final = ("dispersed_public_key", "dispersed_secret_key")


def checks(settings: Settings, clock: Clock, kind: str) -> Iterator[Check]:
    """The checks of both. Live Dispersed without its keys fails: it answers nobody else."""
    mode = settings.dispersed_mode
    missing = tuple(variable(key) for key in KEYS if mode == "live" and not getattr(settings, key))
    given = settings.given("dispersed_mode", "dispersed_api_url", *KEYS)
    examine = partial(_without_keys, missing) if missing else partial(_dispersed, settings, clock)
    yield Check("dispersed", kind, mode, examine, given, missing)
    yield Check("render-jobs", kind, "sandbox", partial(_render_jobs, settings, clock))


def _without_keys(missing: tuple[str, ...]) -> Finding:
    says = f"its mode is live, and it answers signed requests only; not set: {', '.join(missing)}"
    return Finding(Verdict.FAILED, says, "set both to a key pair of your account there")


def _dispersed(settings: Settings, clock: Clock) -> Finding:
    asking = Asking(clock, settings.request_timeout_s, live=settings.dispersed_mode == "live")

    def read() -> Heard:
        regions = len(open_dispersed(settings, clock).evidence().rows)
        return Heard(f"{regions} regions sell now", "" if regions else "nothing is on offer")

    return asking.finding(dispersed_url(settings), read, signs_in=True)


def _render_jobs(settings: Settings, clock: Clock) -> Finding:
    asking, jobs = Asking(clock, settings.request_timeout_s, live=False), open_render_jobs(settings, clock)
    try:
        return asking.finding(
            render_jobs_url(settings), lambda: Heard(f"simulated; {plain(jobs.credit_eur())} EUR of credit")
        )
    finally:
        jobs.close_connections()
