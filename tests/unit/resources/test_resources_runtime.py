"""The runtime resource: opened once on first use, closed with the run, and never configurable."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from support.dagster_world import World

from necto_pipelines.resources import runtime as module
from necto_pipelines.resources.runtime import RuntimeResource, prepared


class Opened:
    """Counts how often a runtime is opened and closed."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def open(self, settings: Any) -> "Opened":
        self.events.append(f"open {settings.home}")
        return self

    def close(self) -> None:
        self.events.append("close")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    counter = Opened()
    monkeypatch.setattr(module.Runtime, "open", counter.open)
    monkeypatch.setenv("NECTO_HOME", str(tmp_path))
    return counter


def run(*ops: Any, resource: RuntimeResource) -> None:
    @dg.job(resource_defs={"runtime": resource}, executor_def=dg.in_process_executor)
    def work() -> None:
        for op in ops:
            op()

    work.execute_in_process()


@dg.op
def uses(runtime: RuntimeResource) -> None:
    assert runtime.get() is runtime.get()


@dg.op
def uses_too(runtime: RuntimeResource) -> None:
    runtime.get()


@dg.op
def ignores(runtime: RuntimeResource) -> None:
    """Asks for the resource and does not need it."""


def test_a_step_opens_the_runtime_once_and_closes_it(opened: Opened, tmp_path: Path) -> None:
    run(uses, resource=RuntimeResource())
    assert opened.events == [f"open {tmp_path}", "close"]


def test_two_runs_share_nothing(opened: Opened, tmp_path: Path) -> None:
    resource = RuntimeResource()
    run(uses, resource=resource)
    run(uses, uses_too, resource=resource)
    assert opened.events.count("close") == opened.events.count(f"open {tmp_path}") >= 2


def test_nothing_is_opened_for_a_step_that_does_not_ask(opened: Opened) -> None:
    run(ignores, resource=RuntimeResource())
    assert opened.events == []


def test_a_prepared_runtime_is_handed_out_and_left_open(tmp_path: Path, opened: Opened) -> None:
    ready = World(tmp_path).runtime
    seen = []

    @dg.op
    def look(runtime: RuntimeResource) -> None:
        seen.append(runtime.get())

    run(look, resource=prepared(ready))
    assert seen == [ready]
    assert opened.events == []
