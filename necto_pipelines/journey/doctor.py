"""`necto doctor`: every source's own check, run side by side, none of them able to stop another.

How a source is tested stands beside it: `networks/doctor.py`, `market/doctor.py`, `doctor_home.py`.
"""

import queue
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from necto_pipelines.failures import InvalidInput, NectoError, Problem
from necto_pipelines.journey import doctor_home
from necto_pipelines.market import doctor as market
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.networks import doctor as networks
from necto_pipelines.settings import Settings


@dataclass(frozen=True)
class Report:
    """A check and what it found."""

    check: Check
    finding: Finding


def all_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Every check that these settings give rise to: the home first, then networks and market."""
    return [
        *doctor_home.checks(settings, clock),
        *networks.checks(settings, clock),
        *market.checks(settings, clock),
    ]


def chosen(checks: Sequence[Check], names: Collection[str]) -> list[Check]:
    """The checks that `names` name: one (`akash:console`), a family (`akash`), or a kind (`clouds`); all when empty.

    InvalidInput for a name that names none.
    """

    def fits(check: Check, name: str) -> bool:
        return name in (check.name, check.kind) or check.name.startswith(f"{name}:")

    known = sorted({check.name for check in checks} | {check.kind for check in checks})
    unknown = [name for name in names if not any(fits(check, name) for check in checks)]
    if unknown:
        raise InvalidInput([Problem("source", name, f"one of {', '.join(known)}") for name in unknown])
    return [check for check in checks if not names or any(fits(check, name) for name in names)]


def run_checks(
    checks: Sequence[Check], settings: Settings, *, timeout_s: float, done: Callable[[Report, int], None]
) -> list[Report]:
    """All at once, reported in their order; `done` hears of each as it ends, with how many are left.

    Whatever a check raises is its finding. One that has not ended after `timeout_s` is left behind: its thread ends
    with the process.
    """
    ended: queue.SimpleQueue[tuple[int, Finding]] = queue.SimpleQueue()
    secrets = secrets_of(settings)
    for number, check in enumerate(checks):
        threading.Thread(target=_examine, args=(number, check, secrets, ended), daemon=True).start()
    findings: dict[int, Finding] = {}
    deadline = time.monotonic() + timeout_s
    while len(findings) < len(checks):
        try:
            number, finding = ended.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        findings[number] = finding
        done(Report(checks[number], finding), len(checks) - len(findings))
    late = Finding(Verdict.FAILED, f"no answer within {timeout_s:g} s", "try again with a longer --timeout")
    return [Report(check, findings.get(number, late)) for number, check in enumerate(checks)]


def worst(reports: Sequence[Report]) -> Verdict:
    """Failed when anything failed, else a warning when anything has one, else ok."""
    found = {report.finding.verdict for report in reports}
    return next((verdict for verdict in (Verdict.FAILED, Verdict.WARNING) if verdict in found), Verdict.OK)


def document(report: Report) -> dict[str, Any]:
    """The report for a program. Variables are named; what they are set to is not told."""
    check, finding = report.check, report.finding
    return {
        "name": check.name,
        "kind": check.kind,
        "mode": check.mode,
        "verdict": finding.verdict.value,
        "configured": finding.verdict is not Verdict.NOT_CONFIGURED and not check.missing,
        "variables": {"set": list(check.given), "missing": list(check.missing)},
        "reachable": finding.reachable,
        "latency_ms": None if finding.latency_ms is None else round(finding.latency_ms, 1),
        "signed_in": finding.signed_in,
        "clock_skew_s": None if finding.skew_s is None else round(finding.skew_s, 1),
        "says": finding.says,
        "hint": finding.hint,
    }


def secrets_of(settings: Settings) -> frozenset[str]:
    """Every secret of the settings, and passwords inside addresses: what no finding may repeat."""
    values = [getattr(settings, name) for name in type(settings).model_fields]
    texts = [value.get_secret_value() if isinstance(value, SecretStr) else value for value in values]
    secrets = {text for text, value in zip(texts, values, strict=True) if isinstance(value, SecretStr)}
    flat = [part for text in texts for part in (text if isinstance(text, tuple) else (text,))]
    secrets |= {_password(text) for text in flat if isinstance(text, str)}
    return frozenset(secret for secret in secrets if secret)


def _password(address: str) -> str:
    try:
        return urlsplit(address).password or ""
    except ValueError:
        return ""


def _examine(
    number: int, check: Check, secrets: Collection[str], ended: "queue.SimpleQueue[tuple[int, Finding]]"
) -> None:
    try:
        finding = check.examine()
    except NectoError as failure:
        finding = Finding(Verdict.FAILED, str(failure))
    except Exception as error:  # a fault of one check must not hide what the others found
        finding = Finding(Verdict.FAILED, f"{type(error).__name__}: {error}")
    for secret in secrets:
        finding = replace(finding, says=finding.says.replace(secret, "***"), hint=finding.hint.replace(secret, "***"))
    ended.put((number, finding))
