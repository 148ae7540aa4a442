"""Where Dispersed is looked for, with which keys, and where rendering jobs go."""

import os
from typing import Any

import pytest
from pydantic import SecretStr

from necto_pipelines.model.clock import FrozenClock
from necto_pipelines.model.offer import SourceMode
from necto_pipelines.networks.render import opening
from necto_pipelines.sandbox.dispersed_access import PUBLIC_KEY, SECRET_KEY
from necto_pipelines.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("NECTO_")]:
        monkeypatch.delenv(variable)


def opened(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> dict[str, Any]:
    """What is handed to the adapter."""
    facts: dict[str, Any] = {}
    monkeypatch.setattr(opening, "DispersedNetwork", lambda **given: facts.update(given))
    opening.open_dispersed(Settings(**settings), FrozenClock())
    return facts


def test_the_sandbox_is_opened_with_its_own_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = opened(monkeypatch, sandbox_port=9123)
    assert (facts["base_url"], facts["mode"]) == ("http://127.0.0.1:9123/dispersed", SourceMode.SANDBOX)
    assert (facts["public_key"], facts["secret_key"]) == (PUBLIC_KEY, SecretStr(SECRET_KEY))


def test_the_sandboxs_pair_is_never_used_on_the_live_network(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = opened(monkeypatch, dispersed_mode="live")
    assert (facts["base_url"], facts["mode"]) == ("https://api.dispersed.com", SourceMode.LIVE)
    assert (facts["public_key"], facts["secret_key"]) == ("", None)


def test_what_is_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = {"dispersed_public_key": "pk_mine", "dispersed_secret_key": "sk_mine"}
    facts = opened(monkeypatch, dispersed_mode="live", dispersed_api_url="https://dispersed.example", **mine)
    assert facts["base_url"] == "https://dispersed.example"
    assert (facts["public_key"], facts["secret_key"]) == ("pk_mine", SecretStr("sk_mine"))


def test_rendering_jobs_only_ever_go_to_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[str, Any] = {}
    monkeypatch.setattr(opening, "RenderJobs", lambda **given: facts.update(given))
    opening.open_render_jobs(Settings(dispersed_mode="live", sandbox_port=9123), FrozenClock())
    assert facts["base_url"] == "http://127.0.0.1:9123/render-jobs"
