"""Every source under every failure, over real sockets: reading ends, and nothing that is read is wrong."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from support.necto_command import necto
from support.sandbox_server import running_sandbox

from necto_pipelines.assets.sources import ask
from necto_pipelines.journey import drill
from necto_pipelines.journey.drill_cases import ALL, ALONE, EVERYTHING, Case
from necto_pipelines.journey.drill_truth import Circumstances, Rows, Truth
from necto_pipelines.journey.sandbox_control import SandboxControl
from necto_pipelines.market.oracles import COINGECKO_IDS
from necto_pipelines.market.registry import open_cloud_sources, open_oracle
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.tables import CLOUD_PRICES, EVIDENCE, OFFERS, TOKEN_PRICES, records
from necto_pipelines.networks.plausibility import believable
from necto_pipelines.networks.port import Network
from necto_pipelines.networks.registry import open_networks
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RATE = Decimal("0.2")


class Sources:
    """Every source of a refresh, read as the assets read them."""

    def __init__(self, settings: Settings, clock: FrozenClock) -> None:
        self.settings, self.clock = settings, clock
        self.control = SandboxControl(settings.sandbox_url)
        self.served: dict[str, bytes] = {}
        self.silent: dict[str, str] = {}

    def read(self) -> Rows:
        """The rows of all tables; `silent` then names the sources that gave none."""
        networks = open_networks(self.settings, self.clock).values()
        oracle = open_oracle(self.settings, self.clock)
        self.served, self.silent = {}, {}
        return {
            "offers": self._rows(OFFERS, {each.name: _offers_of(each) for each in networks}),
            "evidence": self._rows(EVIDENCE, {each.name: each.evidence for each in networks}),
            "clouds": self._rows(
                CLOUD_PRICES, {each.name: each.prices for each in open_cloud_sources(self.settings, self.clock)}
            ),
            "tokens": self._rows(TOKEN_PRICES, {"oracle": lambda: oracle.prices(tuple(COINGECKO_IDS))}),
        }

    def _rows(self, table: Any, calls: Mapping[str, Callable[[], Any]]) -> list[dict[str, Any]]:
        listings, silent = ask(calls)
        self.silent |= silent
        self.served |= {answer.sha256: answer.body for listing in listings for answer in listing.raw}
        return records(table.frame(row for listing in listings for row in listing.rows))

    @contextmanager
    def failing(self, case: Case, seed: int = 7) -> Iterator[None]:
        """The case's failures stand while the body runs."""
        for order in case.orders(seed):
            # A machine under load answers late enough without being told to.
            self.control.order(**order | ({"seconds": "0.3"} if order["action"] == "timeout" else {}))
        try:
            yield
        finally:
            self.control.calm()

    def dead(self) -> frozenset[str]:
        """Who died."""
        return frozenset(name for fault in self.control.faults()["standing"] for name in fault.get("dead", ()))


def _offers_of(network: Network) -> Callable[[], Any]:
    return lambda: believable(network.offers())


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    clock = FrozenClock(NOON)
    with running_sandbox(clock) as url:
        yield Sources(
            Settings(
                home=tmp_path_factory.mktemp("home"),
                sandbox_port=int(url.rpartition(":")[2]),
                request_timeout_s=5,
                aws_mode="sandbox",
                azure_mode="sandbox",
                gcp_mode="sandbox",
            ),
            clock,
        )


@pytest.fixture(scope="module")
def truth(sources: Sources) -> Truth:
    rows = sources.read()
    assert sources.silent == {}
    found = Truth(NOON, rows, drill.model_prices(sources.settings))
    assert found.wrong_rows(rows, Circumstances(NOON), sources.served) == []
    return found


def judged(sources: Sources, truth: Truth, case: Case, seed: int = 7) -> tuple[Rows, list[str]]:
    """What was read under the case, and what was wrong of it."""
    with sources.failing(case, seed):
        rows = sources.read()
        what = Circumstances(sources.clock.now(), sources.dead(), case.drift)
    return rows, truth.wrong_rows(rows, what, sources.served)


@pytest.mark.parametrize("fault", ALONE)
def test_a_fifth_of_all_requests_failing_lets_no_wrong_row_in(sources: Sources, truth: Truth, fault: str) -> None:
    rows, wrong = judged(sources, truth, Case(fault, EVERYTHING, RATE, (fault,)))
    assert wrong == []
    assert rows["offers"]


@pytest.mark.parametrize("fault", ["status", "truncate", "wrong_json", "drop_reply"])
def test_a_network_that_always_fails_is_named_and_the_others_are_read(
    sources: Sources, truth: Truth, fault: str
) -> None:
    rows, wrong = judged(sources, truth, Case(fault, "render", Decimal(1), (fault,)))
    assert wrong == []
    assert set(sources.silent) == {"render"}
    assert {row["network"] for row in rows["offers"]} >= {"akash"}
    assert "render" not in {row["network"] for row in rows["offers"]}


@pytest.mark.parametrize("seed", range(4))
def test_answers_of_a_wrong_shape_give_no_wrong_row_whatever_is_wrong_about_them(
    sources: Sources, truth: Truth, seed: int
) -> None:
    case = Case("wrong_shape", EVERYTHING, Decimal(1), ("wrong_shape",))
    assert judged(sources, truth, case, seed)[1] == []


def test_all_failures_together_let_no_wrong_row_in(sources: Sources, truth: Truth) -> None:
    assert judged(sources, truth, Case(ALL, EVERYTHING, RATE, tuple(ALONE)))[1] == []


def test_a_wrong_row_would_be_seen(sources: Sources, truth: Truth) -> None:
    offer = dict(truth.rows["offers"][0])
    changes: list[dict[str, Any]] = [
        {"usd_per_gpu_hour": offer["usd_per_gpu_hour"] * 2},
        {"gpu_key": "T4-16GB" if offer["gpu_key"] != "T4-16GB" else "L4-24GB"},
        {"country": "AQ"},
        {"units_available": offer["units_available"] + 1},
        {"offer_id": "akash/nobody"},
        {"observed_at": NOON.replace(hour=13)},
    ]
    what = Circumstances(NOON)
    for change in changes:
        assert truth.wrong_rows({"offers": [offer | change]}, what, sources.served | _any(offer)), change
    dead = Circumstances(NOON, frozenset({offer["provider"]}))
    assert truth.wrong_rows({"offers": [offer]}, dead, sources.served | _any(offer))


def _any(offer: Mapping[str, Any]) -> dict[str, bytes]:
    return {offer["raw_sha256"]: str(offer["native_amount"]).encode()}


def test_two_refreshes_with_the_same_seed_are_hit_alike(sources: Sources) -> None:
    def struck() -> list[dict[str, Any]]:
        with sources.failing(Case("status", "akash", RATE, ("status",))):
            with httpx.Client(base_url=sources.settings.sandbox_url) as client:
                for number in range(40):
                    client.get(f"/akash/v1/blocks/{number % 4}")
            standing: list[dict[str, Any]] = sources.control.faults()["standing"]
            return standing

    first = struck()
    assert first == struck()
    assert 0 < first[0]["struck"] < 40


def test_the_real_refresh_ends_with_all_failures_together(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(ALL, EVERYTHING, RATE, tuple(ALONE))
    monkeypatch.setattr(drill, "cases", lambda *_: [case])
    monkeypatch.setattr(drill, "TIMEOUT_S", 1.0)
    [outcome] = drill.run_drill(Console(stderr=True, quiet=True), rate=RATE)
    assert outcome.wrong == ()
    assert outcome.refreshed, outcome.failure
    assert outcome.struck > 0
    assert outcome.missing or outcome.quarantined


def test_the_command_orders_lists_and_ends_failures(sources: Sources) -> None:
    port = ("--port", sources.settings.sandbox_port)
    assert necto("sandbox", "fault", "status", "--rate", "0.5", "--path", "/akash", *port).code == 0
    [fault] = necto("sandbox", "faults", "--json", *port).json["standing"]
    assert (fault["action"], fault["rate"], fault["path_prefix"], fault["struck"]) == ("status", "0.5", "/akash", 0)
    assert "status" in necto("sandbox", "faults", *port).out
    assert necto("sandbox", "calm", *port).code == 0
    assert necto("sandbox", "faults", "--json", *port).json == {"pending": [], "standing": []}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("fault", "explode"), 2, "action: 'explode' is not allowed"),
        (("fault", "status", "--rate", "2"), 2, "rate: '2' is not allowed"),
        (("fault", "status", "--share", "0.1"), 2, "share: '0.1' is not allowed"),
        (("faults", "--port", "1"), 1, "no sandbox answers at http://127.0.0.1:1"),
    ],
)
def test_the_command_says_what_it_does_not_take(
    sources: Sources, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    port = () if "--port" in arguments else ("--port", sources.settings.sandbox_port)
    found = necto("sandbox", *arguments, *port, "--home", tmp_path)
    assert found.code == code
    assert said in found.err
