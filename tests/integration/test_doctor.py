"""`necto doctor` against a running sandbox and a real home: everything is tested, nothing is changed."""

import hashlib
from pathlib import Path

import httpx
import pytest
from support.necto_command import Said, necto
from support.sandbox_server import running_sandbox

from necto_pipelines.books.books import Books
from necto_pipelines.clock import SandboxClock
from necto_pipelines.procurement.runtime import open_books
from necto_pipelines.settings import Settings

pytestmark = pytest.mark.integration

SIMULATED = {
    *("sandbox", "akash:console", "akash:account", "akash:chain:127.0.0.1", "akash:providers", "dispersed"),
    *("render-jobs", "aethir", "coingecko", "coinbase-exchange", "coinbase-spot", "akash-oracle", "pyth", "rail"),
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with books in it, in an environment that names no other."""
    for name in ("NECTO_HOME", "NECTO_DATABASE_URL", "NECTO_EXTRA_NETWORKS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings(home=tmp_path / "home")
    books: Books = open_books(settings, settings.clock())
    books.close()
    return settings.home


@pytest.fixture
def sandbox(home: Path, monkeypatch: pytest.MonkeyPatch):
    """A sandbox that shares the home's clock; yields its address."""
    with running_sandbox(SandboxClock(home / "sandbox" / "clock.json")) as url:
        monkeypatch.setenv("NECTO_SANDBOX_PORT", url.rpartition(":")[2])
        yield url


def doctor(home: Path, *more: str) -> Said:
    return necto("doctor", "--home", home, "--json", *more)


def verdicts(said: Said) -> dict[str, str]:
    return {source["name"]: source["verdict"] for source in said.json["sources"]}


@pytest.mark.usefixtures("sandbox")
def test_with_the_sandbox_running_everything_works(home: Path) -> None:
    said = doctor(home)
    assert said.code == 0, said.out
    found = {source["name"]: source for source in said.json["sources"]}
    assert found.keys() >= SIMULATED | {"aws", "azure", "gcp", "books", "log-key", "disk", "warehouse", "dagster"}
    assert "failed" not in verdicts(said).values()
    assert {found[name]["mode"] for name in SIMULATED} == {"sandbox"}
    assert all(found[name]["reachable"] and found[name]["latency_ms"] > 0 for name in SIMULATED)
    signed_in = {name for name, source in found.items() if source["signed_in"]}
    assert {"akash:account", "dispersed", "pyth"} <= signed_in
    assert found["sandbox"]["variables"] == {"set": ["NECTO_SANDBOX_PORT"], "missing": []}


@pytest.mark.parametrize("cloud", ["aws", "azure", "gcp"])
@pytest.mark.usefixtures("sandbox")
def test_a_simulated_cloud_is_asked_too(home: Path, monkeypatch: pytest.MonkeyPatch, cloud: str) -> None:
    monkeypatch.setenv(f"NECTO_{cloud.upper()}_MODE", "sandbox")
    said = doctor(home, "--source", cloud)
    assert (said.code, verdicts(said)) == (0, {cloud: "ok"})


def test_nothing_is_changed_anywhere(home: Path, sandbox: str) -> None:
    def everything() -> tuple[object, dict[str, str]]:
        state = httpx.get(f"{sandbox}/sandbox/state").json()
        files = (path for path in home.rglob("*") if path.is_file() and path.suffix not in {".db-shm", ".db-wal"})
        return state, {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    before = everything()
    assert doctor(home).code == 0
    assert everything() == before


def test_without_a_sandbox_it_says_how_to_start_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NECTO_SANDBOX_PORT", "1")
    said = doctor(home)
    assert said.code == 1
    assert said.complaints == [
        "the sandbox is not running at http://127.0.0.1:1: "
        "start it with `necto sandbox serve`, or `necto up` for everything"
    ]
    found = verdicts(said)
    assert {found[name] for name in SIMULATED} == {"failed"}
    assert {found[name] for name in ("aws", "azure", "gcp", "books", "warehouse")} == {"ok"}


def test_a_sandbox_of_another_home_is_noticed_by_its_time(home: Path, sandbox: str) -> None:
    assert sandbox
    settings = Settings(home=home.parent / "other")
    settings.sandbox_clock().advance(3600)
    said = doctor(settings.home, "--source", "sandbox")
    assert (said.code, verdicts(said)) == (0, {"sandbox": "warning"})
    assert "behind this home's" in said.json["sources"][0]["says"]


@pytest.mark.parametrize(
    ("path", "source"),
    [("/akash/v1/balances", "akash:account"), ("/dispersed", "dispersed"), ("/rail", "rail"), ("/pyth", "pyth")],
)
def test_a_source_that_breaks_is_the_only_one_named(home: Path, sandbox: str, path: str, source: str) -> None:
    fault = {"method": "GET", "path_prefix": path, "action": "status", "status": 500, "times": 50}
    assert httpx.post(f"{sandbox}/sandbox/faults", json=fault).status_code == 201
    said = doctor(home, "--timeout", "15", "--source", source, "--source", "akash:console")
    assert said.code == 1
    assert verdicts(said) == {source: "failed", "akash:console": "ok"}


def test_a_source_whose_clock_is_off_is_a_warning(home: Path, sandbox: str) -> None:
    fault = {"path_prefix": "/akash-lcd", "action": "clock_skew", "rate": 1, "seconds": 600}
    assert httpx.post(f"{sandbox}/sandbox/faults", json=fault).status_code == 201
    said = doctor(home, "--source", "akash:chain", "--source", "akash:console")
    chain, console = said.json["sources"][1], said.json["sources"][0]
    assert (said.code, chain["verdict"], console["verdict"]) == (0, "warning", "ok")
    assert -602 <= chain["clock_skew_s"] <= -598
    assert "behind the source's" in chain["says"]


@pytest.mark.usefixtures("sandbox")
def test_a_wrong_key_is_not_signed_in_and_is_not_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NECTO_AKASH_API_KEY", "ac.sk.wrong.hunter2")
    said = doctor(home, "--source", "akash:account")
    (source,) = said.json["sources"]
    assert (said.code, source["verdict"], source["signed_in"]) == (1, "failed", False)
    assert "NECTO_AKASH_API_KEY" in source["says"]
    assert source["variables"]["set"] == ["NECTO_AKASH_API_KEY"]
    assert "hunter2" not in said.out + said.err


@pytest.mark.usefixtures("sandbox")
def test_the_table_is_in_plain_words_grouped_by_kind(home: Path) -> None:
    said = necto("doctor", "--home", home)
    assert said.code == 0
    lines = [line.strip() for line in said.out.splitlines()]
    groups = [line for line in lines if line in {"home", "networks", "clouds", "prices", "rail"}]
    assert groups == ["home", "networks", "clouds", "prices", "rail"]
    assert lines[-1].endswith(" ok") or " ok, " in lines[-1]
    assert "USD free" in said.out


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [(["--source", "awz"], "invalid source: 'awz' is not allowed; one of "), (["--timeout", "0"], "--timeout")],
)
def test_what_is_asked_wrongly_ends_with_2(home: Path, arguments: list[str], wrong: str) -> None:
    said = necto("doctor", "--home", home, *arguments)
    assert said.code == 2
    assert wrong in said.err
