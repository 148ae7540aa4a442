"""Checks run side by side: none can stop another, none can tell a secret, and a silent one is left behind."""

import threading
from pathlib import Path
from typing import Any

import pytest

from necto_pipelines.failures import InvalidInput, Refused
from necto_pipelines.journey.doctor import Report, chosen, document, run_checks, secrets_of, worst
from necto_pipelines.journey.doctor_home import checks as home_checks
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.finding import Check, Finding, Verdict
from necto_pipelines.settings import Settings

FINE = Finding(Verdict.OK, "fine")


def check(name: str, finding: Finding | Exception = FINE, kind: str = "networks") -> Check:
    def examine() -> Finding:
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Check(name, kind, "live", examine)


def run(settings: Settings, *checks: Check, timeout_s: float = 10) -> list[Report]:
    return run_checks(checks, settings, timeout_s=timeout_s, done=lambda *_: None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", sandbox_port=1)


@pytest.mark.parametrize(
    ("names", "picked"),
    [
        ((), ["akash:console", "akash:chain:one.test", "aws", "skypilot:aws"]),
        (("akash",), ["akash:console", "akash:chain:one.test"]),
        (("akash:chain",), ["akash:chain:one.test"]),
        (("clouds", "akash:console"), ["akash:console", "aws", "skypilot:aws"]),
        (("skypilot",), ["skypilot:aws"]),
    ],
)
def test_a_name_means_a_check_a_family_or_a_kind(names: tuple[str, ...], picked: list[str]) -> None:
    known = [check("akash:console"), check("akash:chain:one.test"), check("aws", kind="clouds")]
    known.append(check("skypilot:aws", kind="clouds"))
    assert [one.name for one in chosen(known, names)] == picked


def test_every_unknown_name_is_told_with_those_that_are_known() -> None:
    with pytest.raises(InvalidInput) as fault:
        chosen([check("aws", kind="clouds")], ["aws", "awz", "aka"])
    assert [problem.value for problem in fault.value.problems] == ["awz", "aka"]
    assert fault.value.problems[0].allowed == "one of aws, clouds"


def test_whatever_a_check_raises_is_its_own_finding(settings: Settings) -> None:
    reports = run(settings, check("a", Refused("said no")), check("b", ZeroDivisionError("oops")), check("c"))
    assert [(report.check.name, report.finding.verdict, report.finding.says) for report in reports] == [
        ("a", Verdict.FAILED, "said no"),
        ("b", Verdict.FAILED, "ZeroDivisionError: oops"),
        ("c", Verdict.OK, "fine"),
    ]


def test_they_run_at_the_same_time_and_are_reported_in_their_order(settings: Settings) -> None:
    both = threading.Barrier(2, timeout=10)

    def meet() -> Finding:
        both.wait()
        return FINE

    waiting = [Check(name, "networks", "live", meet) for name in ("a", "b")]
    assert [report.check.name for report in run(settings, *waiting)] == ["a", "b"]
    assert worst(run(settings, *waiting)) is Verdict.OK


def test_one_that_does_not_end_is_left_behind(settings: Settings) -> None:
    never = threading.Event()
    stuck = Check("stuck", "networks", "live", lambda: Finding(Verdict.OK, str(never.wait())))
    slow, fine = run(settings, stuck, check("fine"), timeout_s=0.5)
    assert (slow.finding.verdict, slow.finding.says) == (Verdict.FAILED, "no answer within 0.5 s")
    assert fine.finding.verdict is Verdict.OK
    never.set()


def test_no_secret_is_ever_repeated(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "akash_api_key": "ac.sk.secret",
        "database_url": "postgresql://necto:hunter2@host/books",
        "coingecko_api_url": "https://user:geckopass@gecko.test",
        "akash_chain_urls": ("https://user:chainpass@chain.test",),
    }
    settings = Settings(home=tmp_path, **given)
    said = Finding(Verdict.FAILED, f"{' '.join(secrets_of(settings))}; hunter2 geckopass", "chainpass ac.sk.secret")
    (report,) = run(settings, check("a", said))
    told = str(document(report))
    assert not [secret for secret in ("ac.sk.secret", "hunter2", "geckopass", "chainpass") if secret in told]


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        ([], Verdict.OK),
        ([Verdict.OK, Verdict.NOT_CONFIGURED], Verdict.OK),
        ([Verdict.OK, Verdict.WARNING], Verdict.WARNING),
        ([Verdict.WARNING, Verdict.FAILED, Verdict.OK], Verdict.FAILED),
    ],
)
def test_the_worst_finding_is_that_of_the_whole(verdicts: list[Verdict], whole: Verdict) -> None:
    assert worst([Report(check("a"), Finding(verdict, "")) for verdict in verdicts]) is whole


def home_findings(settings: Settings) -> dict[str, Finding]:
    return {one.name: one.examine() for one in home_checks(settings, FrozenClock()) if one.name != "sandbox"}


def test_a_home_that_is_not_there_yet_is_fine_and_is_not_made(settings: Settings) -> None:
    found = home_findings(settings)
    assert {finding.verdict for finding in found.values()} == {Verdict.OK}
    assert all(found[name].says.startswith("not there yet") for name in ("books", "log-key", "warehouse", "dagster"))
    assert not settings.home.exists()


def test_the_sandbox_is_tested_only_where_something_is_simulated(settings: Settings) -> None:
    (sandbox, *_) = home_checks(settings, FrozenClock())
    finding = sandbox.examine()
    assert (sandbox.name, finding.verdict) == ("sandbox", Verdict.FAILED)
    assert finding.says == "the sandbox is not running at http://127.0.0.1:1"
    assert "`necto sandbox serve`" in finding.hint
    assert "`necto up`" in finding.hint


@pytest.mark.parametrize(
    ("text", "mode", "verdict", "words"),
    [
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0o600, Verdict.OK, "by its owner only"),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 0o644, Verdict.WARNING, "others"),
        ("not a key", 0o600, Verdict.FAILED, "holds no private key"),
    ],
)
def test_the_log_key_is_read_and_never_shown(
    settings: Settings, text: str, mode: int, verdict: Verdict, words: str
) -> None:
    file = settings.home / "keys" / "log.key"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    file.chmod(mode)
    finding = home_findings(settings)["log-key"]
    assert finding.verdict is verdict
    assert words in finding.says
    assert "AAAA" not in finding.says
    assert [path.name for path in file.parent.iterdir()] == ["log.key"]


def test_books_that_are_no_database_fail_in_words(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "books.db").write_text("these are no books " * 100)
    (report,) = run(settings, *(one for one in home_checks(settings, FrozenClock()) if one.name == "books"))
    assert (report.finding.verdict, "not a database" in report.finding.says) == (Verdict.FAILED, True)


def test_a_disk_that_is_full_fails(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for free_gib, verdict in ((0.9, Verdict.FAILED), (5, Verdict.WARNING), (50, Verdict.OK)):
        usage = (0, 0, int(free_gib * 1024**3))
        monkeypatch.setattr("shutil.disk_usage", lambda _, usage=usage: type("Usage", (), {"free": usage[2]}))
        assert home_findings(settings)["disk"].verdict is verdict
