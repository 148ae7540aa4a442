"""`necto up` as a new user runs it: the servers, the pages, the end, and the next start.

The tests share one `necto up`; whoever stops it starts it again, and none depends on another.
"""

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import expect
from support.browser import browser_page
from support.dagster_api import DagsterApi
from support.necto_command import clean_environment, necto, necto_argv, necto_process, order_text, write_order
from support.necto_stack import eventually

from necto_pipelines.journey.home import free_port

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.timeout(600)]
UP_S = 300
"""how long a start may take on a busy machine"""
STOP_S = 30
"""within this everything must be gone after a signal"""


@dataclass
class Up:
    """A `necto up` that can be stopped and started again; what it prints is kept in a file."""

    home: Path
    said_in: Path
    web_port: int = field(default_factory=free_port)
    sandbox_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        ports = {"NECTO_WEBSERVER_PORT": str(self.web_port), "NECTO_SANDBOX_PORT": str(self.sandbox_port)}
        return clean_environment(NECTO_HOME=str(self.home), NECTO_BID_COLLECT_S="20", **ports)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def said(self) -> str:
        return self.said_in.read_text(errors="replace")

    def start(self) -> None:
        """Start and wait until it serves."""
        with self.said_in.open("wb") as out:
            process = subprocess.Popen(
                necto_argv("up"), env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
        self.process = process

        def serves() -> bool:
            assert process.poll() is None, self.said
            return "Ctrl-C stops everything" in self.said

        eventually(serves, "necto up serves", UP_S)

    def stop(self, *signals: signal.Signals) -> None:
        """Send the signals; sees to it that it ends well, and every process it started with it."""
        assert self.process
        parent = psutil.Process(self.process.pid)
        family = [parent, *parent.children(recursive=True)]
        assert len(family) >= 5  # itself, sandbox, code server, daemon, web server
        for sent in signals:
            self.process.send_signal(sent)
        code = self.process.wait(STOP_S)
        _, alive = psutil.wait_procs(family, timeout=5)
        assert (code, alive) == (0, []), self.said


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A `necto up` that has carried its demonstration. Who stops it starts it again."""
    folder = tmp_path_factory.mktemp("up")
    made = Up(folder / "home", folder / "said")
    made.start()
    yield made
    made.stop(signal.SIGTERM)


@pytest.fixture
def api(up: Up) -> DagsterApi:
    return DagsterApi(up.address)


def test_a_first_start_tells_each_step_and_where_to_look(up: Up) -> None:
    assert f"Dagster UI  {up.address}" in up.said
    assert str(up.home) in up.said
    assert "Simulated:" in up.said
    assert "verified" in up.said
    for noise in ("Warning", "Traceback"):
        assert noise not in up.said


def test_every_asset_has_a_group_and_a_description(api: DagsterApi) -> None:
    assets = api.assets()
    assert {"provider_catalog", "price_comparison", "compliance_scores", "leases", "invoices"} <= set(assets)
    assert all(asset["description"] for asset in assets.values())
    assert {asset["groupName"] for asset in assets.values()} >= {"discovery", "market", "compliance", "billing"}
    assert {"path": ["akash_offers"]} in assets["provider_catalog"]["dependencyKeys"]


def test_the_purchase_went_through_the_daemon(api: DagsterApi) -> None:
    assert "SUCCESS" in {run["status"] for run in api.runs("procure")}
    assert {run["status"] for run in api.runs("settle")} == {"SUCCESS"}
    assert "SUCCESS" in {run["status"] for run in api.runs("bill_month")}


def test_sensors_and_schedules_are_on(api: DagsterApi) -> None:
    switches = api.switches()
    assert {"pending_orders", "finished_leases", "derived_assets", "discovery", "token_market"} <= set(switches)
    assert set(switches.values()) == {"RUNNING"}


def test_the_web_server_listens_on_this_machine_only(up: Up) -> None:
    family = psutil.Process(up.process.pid).children(recursive=True)
    listening = [
        connection.laddr
        for process in family
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {up.web_port, up.sandbox_port} <= {address.port for address in listening}
    assert {address.ip for address in listening} == {"127.0.0.1"}


def test_a_second_up_names_the_ports_that_are_taken(up: Up, tmp_path: Path) -> None:
    begun = time.monotonic()
    said = necto_process("up", "--home", tmp_path / "other", env=up.environment, timeout_s=60)
    assert said.code == 2
    assert said.complaints == [
        f"invalid {name}: {port} is not allowed; another process listens there (is Necto up already?); set {name} to a"
        " free port"
        for name, port in (("NECTO_WEBSERVER_PORT", up.web_port), ("NECTO_SANDBOX_PORT", up.sandbox_port))
    ]
    assert time.monotonic() - begun < 30
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_home_is_served_by_one_process_only(up: Up, command: str) -> None:
    environment = Up(up.home, up.said_in).environment
    said = necto_process(command, env=environment, timeout_s=60)
    assert said.code == 2
    assert said.complaints == [
        f"invalid home: '{up.home}' is not allowed; another `necto up` or `necto demo` works there: stop that one, or"
        " name another folder"
    ]


def test_a_person_sees_the_lineage_and_the_finished_purchase(up: Up, api: DagsterApi, tmp_path: Path) -> None:
    procured = next(run["id"] for run in api.runs("procure") if run["status"] == "SUCCESS")
    with browser_page() as page:
        page.goto(f"{up.address}/asset-groups")
        for group in ("discovery", "market", "compliance", "billing"):
            expect(page.get_by_text(group, exact=True).first).to_be_visible()
        expect(page.get_by_text("fetching statuses")).to_have_count(0)
        page.screenshot(path=tmp_path / "lineage.png")
        page.goto(f"{up.address}/assets/provider_catalog")
        expect(page.get_by_text(api.assets()["provider_catalog"]["description"].split("\n")[0]).first).to_be_visible()
        page.screenshot(path=tmp_path / "catalog.png")
        page.goto(f"{up.address}/runs/{procured}")
        for op in ("freeze_inputs", "screen_offers", "route_orders", "place_leases", "record_run"):
            expect(page.get_by_text(op).first).to_be_visible()
        page.screenshot(path=tmp_path / "procure.png")


def test_an_order_that_is_submitted_while_it_serves_is_bought(up: Up, tmp_path: Path) -> None:
    file = write_order(tmp_path, order_text(name="while it serves"))
    order = necto("order", "submit", file, "--home", up.home, "--json")
    assert order.code == 0, order.err

    def bought() -> bool:
        state = necto("order", "show", order.json["id"], "--home", up.home, "--json").json["order"]["state"]
        assert state not in ("failed", "refused", "cancelled")
        return bool(state == "active")

    eventually(bought, "the order is active", UP_S)


def test_stopping_and_starting_again_keeps_everything_and_repeats_nothing(up: Up, api: DagsterApi) -> None:
    def kept() -> dict[str, Any]:
        lists = (("order", "list"), ("invoice", "list"), ("lease", "list"))
        found = {noun: necto(noun, *rest, "--home", up.home, "--json").json for noun, *rest in lists}
        return {noun: [row.get("id") or row["number"] for row in rows] for noun, rows in found.items()}

    before, runs = kept(), {run["id"] for run in api.runs("procure") + api.runs("refresh_all")}
    up.stop(signal.SIGINT, signal.SIGINT)  # whoever is impatient presses Ctrl-C twice
    assert "Stopping" in up.said
    verified = necto("audit", "verify", "--home", up.home)
    assert verified.code == 0, verified.out
    up.start()
    assert kept() == before
    assert "Submit an order" not in up.said
    assert runs < {run["id"] for run in api.runs("procure") + api.runs("refresh_all")}
    assert set(api.switches().values()) == {"RUNNING"}
