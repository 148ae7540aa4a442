"""Which anchors the settings open."""

from pathlib import Path
from typing import Any

import pytest
from support.time_authority import issue

from necto_pipelines.anchors.registry import open_anchors, time_authorities
from necto_pipelines.failures import InvalidInput
from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.settings import Settings


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    (tmp_path / "roots.pem").write_bytes(issue("Test root", authority=True).pem)
    return tmp_path / "roots.pem"


def opened(**given: Any) -> list[tuple[str, str]]:
    return [(anchor.kind.value, anchor.name) for anchor in open_anchors(Settings(**given), FrozenClock())]


def test_nothing_is_set_up_by_itself() -> None:
    assert opened() == []


def test_each_setting_opens_its_anchors_without_asking_anybody(roots: Path) -> None:
    webhooks = ["https://hooks.example/a", "https://hooks.example/b", "https://other.example:8443/"]
    assert opened(
        anchor_copies=["/mnt/worm", "s3://bucket/audit", "/mnt/worm"],
        anchor_webhooks=webhooks,
        timestamp_url="http://tsa.example/tsr",
        timestamp_roots=roots,
    ) == [
        ("copy", "/mnt/worm"),
        ("copy", "s3://bucket/audit"),
        ("webhook", "hooks.example"),
        ("webhook", "hooks.example#2"),
        ("webhook", "other.example:8443"),
        ("rfc3161", "tsa.example"),
    ]


def test_lists_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NECTO_ANCHOR_COPIES", '["/mnt/worm"]')
    monkeypatch.setenv("NECTO_ANCHOR_WEBHOOKS", '["https://hooks.example/s3cr3t"]')
    assert opened() == [("copy", "/mnt/worm"), ("webhook", "hooks.example")]
    assert "s3cr3t" not in repr(Settings())


def test_an_authority_needs_roots_to_believe_it_by(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="NECTO_TIMESTAMP_ROOTS: missing; with NECTO_TIMESTAMP_URL"):
        opened(timestamp_url="http://tsa.example/tsr")
    with pytest.raises(InvalidInput, match="NECTO_TIMESTAMP_ROOTS"):
        opened(timestamp_url="http://tsa.example/tsr", timestamp_roots=tmp_path / "absent.pem")


def test_an_exported_policy_names_the_authority_as_the_books_do(roots: Path) -> None:
    given = Settings(timestamp_url="http://ada:pa55word@tsa.example:8080/tsr", timestamp_roots=roots)
    (authority,) = time_authorities(given)
    assert [authority.name] == [anchor.name for anchor in open_anchors(given, FrozenClock())] == ["tsa.example:8080"]
    assert authority.certificates.encode() == roots.read_bytes()
    assert time_authorities(Settings()) == []
