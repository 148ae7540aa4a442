"""`necto doctor`: which sources are set up, reachable and signed in, and what to do about the others."""

from typing import Annotated, Final

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from necto_pipelines.cli.output import AsJson, Home, print_json, settings_of, stderr, stdout
from necto_pipelines.journey.doctor import Report, all_checks, chosen, document, run_checks, worst
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.model.finding import Check, Finding, Verdict

COLOURS: Final = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILED: "red",
    Verdict.NOT_CONFIGURED: "dim",
}


def doctor(
    source: Annotated[
        list[str] | None,
        typer.Option(help="Only this one, for example akash, akash:chain, clouds or pyth; may be repeated."),
    ] = None,
    timeout: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds until a source counts as silent.")] = 20,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Test every source: its mode, whether it is set up, answers and takes our credentials. Nothing is changed.

    Exit code 0 when everything that is asked for works, 1 when something does not.
    """
    settings = settings_of(home)
    settings = settings.model_copy(update={"request_timeout_s": min(timeout, settings.request_timeout_s)})
    clock = settings.clock()
    checks = chosen(all_checks(settings, clock), source or [])
    with stderr.status(f"Asking {len(checks)} sources …") as status:
        reports = run_checks(
            checks,
            settings,
            timeout_s=timeout,
            done=lambda report, left: status.update(f"{report.check.name} · {left} of {len(checks)} left …"),
        )
    verdict = worst(reports)
    if json:
        found = [document(report) for report in reports]
        print_json({"checked_at": rfc3339(clock.now()), "home": settings.home, "verdict": verdict, "sources": found})
    else:
        stdout.print(_table(reports))
        stdout.print(_counts(reports))
    for report in reports:
        if report.check.name == "sandbox" and report.finding.verdict is Verdict.FAILED:
            stderr.print(f"{report.finding.says}: {report.finding.hint}", soft_wrap=True)
    if verdict is Verdict.FAILED:
        raise typer.Exit(1)


def _table(reports: list[Report]) -> Table:
    table = Table(title="Sources", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("source", "mode", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("signed in", no_wrap=True)
    table.add_column("found", overflow="fold")
    kind = ""
    for report in reports:
        check, finding = report.check, report.finding
        if check.kind != kind:
            kind = check.kind
            table.add_section()
            table.add_row(Text(kind, "bold"))
        table.add_row(
            Text(f"  {check.name}"),
            check.mode,
            Text(finding.verdict.value, COLOURS[finding.verdict]),
            "" if finding.latency_ms is None else f"{finding.latency_ms:.0f}",
            {True: "yes", False: "no", None: ""}[finding.signed_in],
            _found(check, finding),
        )
    return table


def _found(check: Check, finding: Finding) -> Text:
    """What was found, what to do, and which variables speak of the source."""
    text = Text(finding.says)
    if finding.hint:
        text.append(f"\n→ {finding.hint}", "bold" if finding.verdict is Verdict.FAILED else "")
    for word, names in (("set", check.given), ("not set", check.missing)):
        if names:
            text.append(f"\n{word}: {', '.join(names)}", "dim")
    return text


def _counts(reports: list[Report]) -> str:
    counts = [(verdict, sum(report.finding.verdict is verdict for report in reports)) for verdict in Verdict]
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts if count)
