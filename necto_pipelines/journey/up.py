"""`necto up`: the servers, a first procurement carried by them, and then service until Ctrl-C."""

import signal
import tempfile
import time
from pathlib import Path
from types import FrameType

import dagster as dg
import yaml
from rich.console import Console

from necto_pipelines.failures import Unavailable
from necto_pipelines.journey.drivers import ThroughDaemon
from necto_pipelines.journey.home import await_sandbox, prepare_home, require_free_ports
from necto_pipelines.journey.journey import Carried, carry_order, demonstration_order, start_clock, verify_trail
from necto_pipelines.journey.processes import Servers
from necto_pipelines.journey.steps import Steps
from necto_pipelines.journey.summary import facts, show
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.resources.snapshots import latest_snapshot
from necto_pipelines.settings import Settings


def run_up(settings: Settings, console: Console) -> None:
    """Serve until interrupted. A home that carried its first order before is taken up where it was left."""
    ports = {"NECTO_WEBSERVER_PORT": settings.webserver_port, "NECTO_SANDBOX_PORT": settings.sandbox_port}
    require_free_ports(ports)
    home = prepare_home(settings)
    settings = settings.model_copy(update={"home": home})
    steps, clock = Steps(console), settings.sandbox_clock()
    start_clock(clock, demonstration_order().requirement.hours)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    servers = Servers(home / "logs")
    address = f"http://127.0.0.1:{settings.webserver_port}"
    with tempfile.TemporaryDirectory(prefix="necto-") as sockets, dg.DagsterInstance.get() as instance:
        runtime = Runtime.open(settings)
        driver = ThroughDaemon(instance, address)
        try:
            with steps.step("Start the sandbox") as note:
                servers.start("sandbox", "necto_pipelines.cli", "sandbox", "serve")
                await_sandbox(settings)
                note(f"simulated Akash, prices and payment rail at {settings.sandbox_url}")
            with steps.step("Start Dagster") as note:
                _start_dagster(servers, settings, Path(sockets), home)
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


def _start_dagster(servers: Servers, settings: Settings, sockets: Path, home: Path) -> None:
    socket, workspace = str(sockets / "code.sock"), home / "workspace.yaml"
    location = {"grpc_server": {"socket": socket, "location_name": "necto"}}
    workspace.write_text(yaml.safe_dump({"load_from": [location]}))
    servers.start(
        "code-server", "dagster", "code-server", "start", "-m", "necto_pipelines.definitions", "--socket", socket
    )
    _await_socket(Path(socket), servers)
    servers.start("daemon", "dagster._daemon", "run", "-w", str(workspace))
    port = str(settings.webserver_port)
    # Anyone who reaches Dagster's own web server may change history: it listens on this machine only.
    servers.start("webserver", "dagster_webserver", "-w", str(workspace), "-h", "127.0.0.1", "-p", port)


def _await_socket(socket: Path, servers: Servers, timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not socket.exists():
        servers.check()
        if time.monotonic() > deadline:
            raise Unavailable(f"the code server did not start within {timeout_s:g} s; see {servers.logs}")
        time.sleep(0.1)


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
    raise KeyboardInterrupt
