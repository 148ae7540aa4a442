"""`up`, `demo`, `refresh`, `procure` and `sandbox`: commands that run things."""

from typing import Annotated

import typer
from rich.console import Console

from necto_pipelines.cli.output import AsJson, Home, print_json, settings_of, stderr, stdout
from necto_pipelines.cli.sandbox_faults import add_fault_commands
from necto_pipelines.sandbox.server import serve

MAX_JUMP_HOURS = 100_000
MAX_SPEED = 1_000_000
"""further, and simulated time would leave the years that a calendar has"""

sandbox = typer.Typer(help="The simulated networks, prices and payment rail.", no_args_is_help=True)
add_fault_commands(sandbox)


def up(
    home: Home = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the Dagster UI; default 3000.")] = None,
) -> None:
    """Start the sandbox, Dagster and its UI, carry one order to its verified invoice, and serve until Ctrl-C."""
    from necto_pipelines.journey.up import run_up  # noqa: PLC0415 - Dagster takes seconds to import

    settings = settings_of(home)
    run_up(settings.model_copy(update={"webserver_port": port}) if port else settings, stdout)


def demo(home: Home = None, json: AsJson = False) -> None:
    """Carry one order from discovery to a verified invoice, and leave no server running."""
    from necto_pipelines.journey.demo import run_demo  # noqa: PLC0415 - Dagster takes seconds to import

    found = run_demo(settings_of(home), stderr if json else stdout, quiet=json)
    if json:
        print_json(found)
    if not found["audit"]["verified"]:
        raise typer.Exit(1)


def refresh(home: Home = None) -> None:
    """Read every source again and recompute what follows from it: catalog, prices, comparison, evidence, scores."""
    from necto_pipelines.journey.refresh import run_refresh  # noqa: PLC0415 - Dagster takes seconds to import

    run_refresh(settings_of(home), stderr)


@sandbox.command("serve")
def sandbox_serve(
    home: Home = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on; default NECTO_SANDBOX_PORT or 8790.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same providers, prices and delays.")] = 7,
) -> None:
    """Serve the simulated networks on this machine until interrupted. No money and no machine is involved."""
    settings = settings_of(home)
    port = port or settings.sandbox_port
    Console(stderr=True).print(f"Simulated networks at http://127.0.0.1:{port} (seed {seed})")
    serve(clock=settings.sandbox_clock(), port=port, seed=seed, state_path=settings.home / "sandbox" / "state.json")


@sandbox.command("clock")
def sandbox_clock(
    home: Home = None,
    advance_hours: Annotated[float, typer.Option(min=0, max=MAX_JUMP_HOURS, help="Jump forward by so many hours.")] = 0,
    speed: Annotated[
        float | None, typer.Option(min=0, max=MAX_SPEED, help="Simulated seconds per real second; 0 stands still.")
    ] = None,
) -> None:
    """Show the simulated time, move it forward, or change its speed."""
    clock = settings_of(home).sandbox_clock()
    if speed is not None:
        clock.set_speed(speed)
    if advance_hours:
        clock.advance(advance_hours * 3600)
    typer.echo(clock.now().isoformat())
