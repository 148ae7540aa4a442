"""`necto sandbox drill`: refresh everything again and again while the sandbox fails on purpose, and judge every row.

The sandbox, the home and the clock are the drill's own and gone afterwards; nothing live is ever asked. What may be
shown while sources fail stands in `drill_truth.py`, what is made to fail in `drill_cases.py`.
"""

import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import dagster as dg
import httpx
from rich.console import Console

from necto_pipelines.failures import PermanentFailure
from necto_pipelines.journey.drill_cases import Case, cases
from necto_pipelines.journey.drill_truth import Circumstances, Rows, Truth
from necto_pipelines.journey.drivers import InProcess, first_failure
from necto_pipelines.journey.home import free_port, prepare_home
from necto_pipelines.journey.sandbox_control import SandboxControl
from necto_pipelines.journey.sandbox_thread import sandbox_in_thread
from necto_pipelines.journey.steps import Steps
from necto_pipelines.model.tables import records
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.snapshots import SHA256
from necto_pipelines.settings import Settings

JOB: Final = "refresh_all"
BEGIN: Final = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIMEOUT_S: Final = 2.0
"""for one request; a source that hangs is waited for several times, so the usual 30 s would make hours of a drill"""
TABLES: Final[Mapping[str, str]] = {
    "provider_catalog": "offers",
    "provider_evidence": "evidence",
    "cloud_prices": "clouds",
    "token_prices": "tokens",
}
_QUARANTINED: Final = "necto/quarantined"
_DETAIL: Final = re.compile(r"https?://\S+|'[^']*'|\b[\d.,]+\b|\([^)]*\)")


@dataclass(frozen=True)
class Outcome:
    """What one refresh showed."""

    fault: str
    where: str
    rate: str
    seconds: float
    refreshed: bool
    failure: str
    """why the run failed; empty when it did not"""
    struck: int
    offers: int
    offers_in_truth: int
    missing: tuple[str, ...]
    quarantined: int
    """rows beyond those that are set aside without any failure too"""
    top_reason: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class _Refreshed:
    """A run's result, read from its own events: nothing of an earlier run can slip in."""

    result: dg.ExecuteInProcessResult
    seconds: float
    rows: Rows
    missing: tuple[str, ...]
    aside: Counter[tuple[str, str]]


def run_drill(
    console: Console, *, rate: Decimal = Decimal("0.2"), seed: int = 7, only: Sequence[str] = ()
) -> list[Outcome]:
    """Carry out every case, progress on `console`, and return what came of each, in order.

    PermanentFailure when the refresh without failures fails: then there is no truth to judge by.
    """
    steps = Steps(console)
    with tempfile.TemporaryDirectory(prefix="necto-drill-") as folder, _own_settings(Path(folder)) as settings:
        clock = settings.sandbox_clock()
        clock.start_at(BEGIN)
        clock.set_speed(0)
        with sandbox_in_thread(settings), dg.DagsterInstance.get() as instance:
            runtime = Runtime.open(settings)
            try:
                driver, control = InProcess(instance, runtime), SandboxControl(settings.sandbox_url)
                with steps.step("Without failures") as note:
                    clean = _refresh(driver, runtime)
                    if not clean.result.success:
                        raise PermanentFailure(f"the refresh without failures failed: {first_failure(clean.result)}")
                    truth = Truth(clock.now(), clean.rows, model_prices(settings))
                    note(f"{len(truth.rows['offers'])} offers are the truth")
                outcomes = []
                for case in cases(rate, only):
                    with steps.step(f"{case.fault}, {case.where}") as note:
                        clock.advance(1)
                        outcome = _outcome(case, seed, driver, runtime, control, truth, clean)
                        outcomes.append(outcome)
                        note(f"{outcome.offers} of {outcome.offers_in_truth} offers, {len(outcome.wrong)} wrong rows")
                return outcomes
            finally:
                runtime.close()


def document(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The outcomes for programs."""
    return [asdict(outcome) for outcome in outcomes]


def _outcome(
    case: Case,
    seed: int,
    driver: InProcess,
    runtime: Runtime,
    control: SandboxControl,
    truth: Truth,
    clean: _Refreshed,
) -> Outcome:
    for order in case.orders(seed):
        control.order(**order)
    try:
        found = _refresh(driver, runtime)
        standing = control.faults()["standing"]
    finally:
        control.calm()
    dead = frozenset(name for fault in standing for name in fault.get("dead", ()))
    what = Circumstances(runtime.clock.now(), dead, case.drift)
    answers = {row["raw_sha256"] for row in found.rows.get("offers", ())}
    served = {sha256: runtime.warehouse.read_raw(sha256) for sha256 in answers}
    aside = found.aside - clean.aside
    reasons = Counter[str]()
    for (_, reason), count in aside.items():
        reasons[_in_short(reason)] += count
    return Outcome(
        fault=case.fault,
        where=case.where,
        rate=str(case.rate),
        seconds=round(found.seconds, 1),
        refreshed=found.result.success,
        failure="" if found.result.success else first_failure(found.result),
        struck=sum(fault["struck"] for fault in standing),
        offers=len(found.rows.get("offers", ())),
        offers_in_truth=len(truth.rows["offers"]),
        missing=tuple(name for name in found.missing if name not in clean.missing),
        quarantined=aside.total(),
        top_reason=next((reason for reason, _ in reasons.most_common(1)), ""),
        wrong=tuple(truth.wrong_rows(found.rows, what, served)),
    )


def _refresh(driver: InProcess, runtime: Runtime) -> _Refreshed:
    begun = time.monotonic()
    result = driver.attempt(JOB)
    seconds = time.monotonic() - begun
    made = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    rows = {
        table: records(runtime.warehouse.read_frame(str(made[asset][SHA256].value)))
        for asset, table in TABLES.items()
        if asset in made
    }
    silent = [
        name
        for verdict in result.get_asset_check_evaluations()
        if not verdict.passed and "silent_sources" in verdict.metadata
        for name in _silent(verdict)
    ]
    aside = Counter(
        pair
        for metadata in made.values()
        if _QUARANTINED in metadata
        for pair in _pairs(str(metadata[_QUARANTINED].value))
    )
    return _Refreshed(result, seconds, rows, tuple(silent), aside)


def _silent(verdict: dg.AssetCheckEvaluation) -> Iterator[str]:
    """Names of sources as a person knows them, with the table that misses them where the name alone does not say."""
    asset, silent = verdict.asset_key.to_user_string(), verdict.metadata["silent_sources"].value
    for name in silent if isinstance(silent, dict) else ():
        yield name if asset == f"{name}_offers" else f"{name} ({asset})"


def _pairs(markdown: str) -> Iterator[tuple[str, str]]:
    """The rows of a table made by `assets/evidence.py`, below its two lines of heading."""
    for line in markdown.splitlines()[2:]:
        cells = re.split(r"(?<!\\)\|", line)
        yield cells[1].strip(), "|".join(cells[2:-1]).strip()


def _in_short(reason: str) -> str:
    """A reason without what differs from row to row, so that equal ones can be counted."""
    return re.sub(r"\s+", " ", _DETAIL.sub("…", reason)).strip()[:100]


def model_prices(settings: Settings) -> dict[tuple[str, str, str], Decimal]:
    """What the sandbox lists for each model, read apart from the reader that is judged."""
    answer = httpx.get(f"{settings.sandbox_url}/akash/v1/gpu-prices", timeout=TIMEOUT_S).json()
    return {
        (row["model"].lower(), row["ram"].lower(), row["interface"].lower()): Decimal(
            str(row["price"]["weightedAverage"])
        )
        for row in answer["models"]
        if row["price"]
    }


@contextmanager
def _own_settings(home: Path) -> Iterator[Settings]:
    """Settings of the drill's own: no variable of the caller's counts, so that nothing live can be asked."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith(("NECTO_", "DAGSTER_HOME"))]:
        del os.environ[name]
    try:
        settings = Settings(
            home=home,
            sandbox_port=free_port(),
            request_timeout_s=TIMEOUT_S,
            aws_mode="sandbox",
            azure_mode="sandbox",
            gcp_mode="sandbox",
        )
        prepare_home(settings)
        yield settings
    finally:
        os.environ.clear()
        os.environ.update(before)
