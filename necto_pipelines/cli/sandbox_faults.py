"""`sandbox faults`, `fault`, `calm`, `drill`: let the simulated networks fail on purpose, and see what gets through."""

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from necto_pipelines.cli.output import AsJson, Home, print_json, print_table, settings_of, stderr
from necto_pipelines.failures import InvalidInput, Problem
from necto_pipelines.journey.sandbox_control import SandboxControl
from necto_pipelines.sandbox.fault_rates import ACTIONS, SETTINGS

Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Port of the sandbox; default NECTO_SANDBOX_PORT or 8790."),
]
Rate = Annotated[str, typer.Option(help="Share of requests that are hit, above 0 and at most 1.")]
Seed = Annotated[int, typer.Option(help="The same seed hits the same requests.")]


def add_fault_commands(group: typer.Typer) -> None:
    """Put the commands of this module into `group`."""
    group.command("faults")(list_faults)
    group.command("fault")(order_fault)
    group.command("calm")(calm)
    group.command("drill")(drill)


def list_faults(home: Home = None, port: Port = None, json: AsJson = False) -> None:
    """Show which failures stand at the running sandbox, and how often each has struck."""
    found = _control(home, port).faults()
    if json:
        print_json(found)
        return
    rows = [
        (
            fault["action"],
            fault["rate"],
            fault["seed"],
            fault["method"] or "any",
            fault["path_prefix"],
            ", ".join(f"{name} {fault[name]}" for name in _setting_names() if name in fault),
            fault["struck"],
        )
        for fault in found["standing"]
    ]
    rows += [
        (fault["action"], f"next {fault['times']}", "", fault["method"], fault["path_prefix"], "", "")
        for fault in found["pending"]
    ]
    columns = ("failure", "rate", "seed", "method", "path", "with", "struck")
    print_table("Simulated failures" if rows else "No simulated failure stands", columns, rows, right=("struck",))


def order_fault(
    action: Annotated[str, typer.Argument(help=f"One of {', '.join(ACTIONS)}.")],
    rate: Rate = "0.2",
    seed: Seed = 7,
    path: Annotated[str, typer.Option(help="Only requests whose path begins so, such as /akash.")] = "/",
    method: Annotated[str | None, typer.Option(help="Only requests of this method.")] = None,
    status: Annotated[int | None, typer.Option(help="status: the HTTP status to answer with, 500 to 599.")] = None,
    seconds: Annotated[
        str | None, typer.Option(help="timeout: how long at most; clock_skew: how far ahead, or behind below 0.")
    ] = None,
    share: Annotated[str | None, typer.Option(help="price_drift: by which share prices move at most.")] = None,
    retry_after_s: Annotated[int | None, typer.Option(help="rate_limit: what Retry-After says.")] = None,
    home: Home = None,
    port: Port = None,
    json: AsJson = False,
) -> None:
    """Let the running sandbox fail from now on, until `necto sandbox calm`. Simulated: nothing real is touched."""
    figures = {"status": status, "seconds": seconds, "share": share, "retry_after_s": retry_after_s}
    given = {name: value for name, value in figures.items() if value is not None}
    control = _control(home, port)
    where: dict[str, Any] = {"path_prefix": path} | ({"method": method} if method else {})
    control.order(action=action, rate=rate, seed=seed, **where, **given)
    if json:
        print_json(control.faults())
    else:
        stderr.print(f"{action} now hits {rate} of what begins with {path}, until `necto sandbox calm`", markup=False)


def calm(home: Home = None, port: Port = None, json: AsJson = False) -> None:
    """End every failure of the running sandbox."""
    control = _control(home, port)
    control.calm()
    if json:
        print_json(control.faults())
    else:
        stderr.print("no simulated failure stands any more")


def drill(
    rate: Rate = "0.2",
    seed: Seed = 7,
    fault: Annotated[list[str] | None, typer.Option(help="Only this failure; may be given several times.")] = None,
    json: AsJson = False,
) -> None:
    """Refresh everything under each failure in turn, and count what is missing and what is wrong.

    Takes minutes, in a sandbox and a folder of its own. Exit code 1 when a wrong row was shown or a refresh failed.
    """
    from necto_pipelines.journey.drill import document, run_drill  # noqa: PLC0415 - Dagster takes seconds to import
    from necto_pipelines.journey.drill_cases import ALONE  # noqa: PLC0415

    if unknown := [name for name in fault or () if name not in ALONE]:
        raise InvalidInput([Problem("fault", name, f"use one of {', '.join(ALONE)}") for name in unknown])
    outcomes = run_drill(stderr, rate=_share(rate), seed=seed, only=fault or ())
    if json:
        print_json(document(outcomes))
    else:
        columns = (
            "fault",
            "where",
            "rate",
            "refresh ended",
            "offers",
            "sources said missing",
            "set aside",
            "wrong rows",
        )
        rows = [
            (
                outcome.fault,
                outcome.where,
                outcome.rate,
                f"{'yes' if outcome.refreshed else 'FAILED'}, {outcome.seconds} s",
                f"{outcome.offers} of {outcome.offers_in_truth}",
                ", ".join(outcome.missing),
                f"{outcome.quarantined}: {outcome.top_reason}" if outcome.quarantined else "0",
                len(outcome.wrong),
            )
            for outcome in outcomes
        ]
        print_table(f"Drill (simulated; seed {seed})", columns, rows, right=("wrong rows",))
        for outcome in outcomes:
            for line in (*([outcome.failure] if outcome.failure else []), *outcome.wrong):
                stderr.print(f"{outcome.fault}, {outcome.where}: {line}", markup=False, soft_wrap=True)
    if any(outcome.wrong or not outcome.refreshed for outcome in outcomes):
        raise typer.Exit(1)


def _control(home: Home, port: int | None) -> SandboxControl:
    settings = settings_of(home)
    return SandboxControl((settings.model_copy(update={"sandbox_port": port}) if port else settings).sandbox_url)


def _setting_names() -> list[str]:
    return list(dict.fromkeys(setting.name for setting in SETTINGS.values()))


def _share(text: str) -> Decimal:
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal(0)
    if not 0 < rate <= 1:  # also False for what is no number
        raise InvalidInput([Problem("rate", text, "a share above 0 and at most 1, such as 0.2")])
    return rate
