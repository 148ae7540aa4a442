"""`necto up`: the servers, a first procurement carried by them, and then service until Ctrl-C."""

import signal
import tempfile
import time
from pathlib import Path
from types import FrameType

import dagster as dg
from rich.console import Console

from necto_pipelines.failures import Unavailable
from necto_pipelines.journey.dagster_servers import start_engine, start_webserver
from necto_pipelines.journey.drivers import ThroughDaemon
from necto_pipelines.journey.home import await_sandbox, prepare_home, require_free_ports, sole_use
from necto_pipelines.journey.journey import (
    Carried,
    carry_order,
    demonstration_order,
    require_sandbox,
    start_clock,
    verify_trail,
)
from necto_pipelines.journey.processes import Servers
from necto_pipelines.journey.steps import Steps
from necto_pipelines.journey.summary import facts, show
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.settings import Settings


def run_up(settings: Settings, console: Console) -> None:
    """Serve until interrupted. A home that carried its first order before is taken up where it was left."""
    require_sandbox(settings)
    ports = {"NECTO_WEBSERVER_PORT": settings.webserver_port, "NECTO_SANDBOX_PORT": settings.sandbox_port}
    require_free_ports(ports)
    home = prepare_home(settings)
    settings = settings.model_copy(update={"home": home})
    steps, clock = Steps(console), settings.sandbox_clock()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    servers = Servers(home / "logs")
    address = f"http://127.0.0.1:{settings.webserver_port}"
    with (
        sole_use(home),
        tempfile.TemporaryDirectory(prefix="necto-") as sockets,
        dg.DagsterInstance.get() as instance,
    ):
        start_clock(clock, demonstration_order().requirement.hours)
        runtime = Runtime.open(settings)
        driver = ThroughDaemon(instance, address)
        try:
            with steps.step("Start the sandbox") as note:
                servers.start("sandbox", "necto_pipelines.cli", "sandbox", "serve")
                await_sandbox(settings)
                note(f"simulated Akash, prices and payment rail at {settings.sandbox_url}")
            with steps.step("Start Dagster") as note:
                start_webserver(servers, start_engine(servers, instance, home, Path(sockets)), settings.webserver_port)
                _await(driver, servers)
                note(f"code server, daemon and web server at {address}")
            with steps.step("Refresh every asset") as note:
                driver.run("refresh_all")
                catalog = latest_snapshot(instance, runtime.warehouse, "provider_catalog")
                note(f"{len(catalog.frame)} offers, checked and scored")
            earlier = _carried_before(runtime)
            if earlier is None:
                carried = carry_order(runtime, driver, clock, steps)
            else:
                carried = Carried(earlier.order, earlier.invoice, verify_trail(runtime, steps))
            comparison = latest_snapshot(instance, runtime.warehouse, "price_comparison")
            show(console, runtime, carried, facts(runtime, carried, catalog, comparison))
            console.print(f"\nDagster UI  [bold]{address}[/bold]      home {home}")
            console.print("Ctrl-C stops everything; what was done stays.\n")
            while True:
                servers.check()
                time.sleep(1)
        except KeyboardInterrupt:
            console.print("Stopping …")
        finally:
            runtime.close()
            servers.stop()


def _await(driver: ThroughDaemon, servers: Servers, timeout_s: float = 180) -> None:
    deadline = time.monotonic() + timeout_s
    while not driver.ready():
        servers.check()
        if time.monotonic() > deadline:
            raise Unavailable(f"Dagster did not load Necto within {timeout_s:g} s; see {servers.logs}")
        time.sleep(0.5)


def _carried_before(runtime: Runtime) -> Carried | None:
    """The newest invoice and its first order, when this home has carried one."""
    invoices = runtime.books.invoices()
    if not invoices:
        return None
    newest = invoices[-1]
    return Carried(runtime.books.order(newest.lines[0].order_id), newest, verified=False)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """Stop, once: whoever presses Ctrl-C twice must not leave servers behind. Stopping has a time limit of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
