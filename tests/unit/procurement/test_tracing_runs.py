"""A run's manifest against the leaves that are there."""

import json
from hashlib import sha256
from typing import Any

from necto_pipelines.audit.merkle import leaf_hash
from necto_pipelines.procurement.tracing_runs import count_run

RUN = "run-1"


def leaf(kind: str, body: dict[str, Any] | None = None, *, run: str | None = RUN) -> bytes:
    event = {"type": kind, "body": body or {}} | ({"run": {"dagster_run_id": run, "job": "procure"}} if run else {})
    return json.dumps(event).encode()


def finished(before: list[bytes]) -> bytes:
    digest = sha256(b"".join(map(leaf_hash, before))).hexdigest()
    return leaf("run.finished", {"count": len(before), "digest": digest})


WRITTEN = [leaf("run.started", {"planned": "a,b"}), leaf("order.moved"), leaf("lease.opened")]


def test_a_run_whose_manifest_agrees_is_complete() -> None:
    counted = count_run(RUN, list(enumerate([*WRITTEN, finished(WRITTEN)], start=10)))
    assert (counted.flaw, counted.pending, counted.job) == ("", "", "procure")
    assert counted.facts["planned"] == "a,b"
    assert (counted.leaves, counted.manifest) == ((10, 11, 12, 13), (10, 13))


def test_a_leaf_that_others_wrote_about_the_run_is_not_counted() -> None:
    seal = leaf("run.sealed", run="run-2")
    assert count_run(RUN, list(enumerate([*WRITTEN, finished(WRITTEN), seal]))).flaw == ""


def test_a_missing_leaf_is_told() -> None:
    counted = count_run(RUN, list(enumerate([*WRITTEN[:2], finished(WRITTEN)])))
    assert counted.flaw == "its closing manifest counts 3 other leaves than the 2 in the log"


def test_another_leaf_in_place_of_one_is_told() -> None:
    other = [*WRITTEN[:2], leaf("lease.moved")]
    assert "other leaves" in count_run(RUN, list(enumerate([*other, finished(WRITTEN)]))).flaw


def test_a_leaf_after_the_end_is_told() -> None:
    counted = count_run(RUN, list(enumerate([*WRITTEN, finished(WRITTEN), leaf("order.moved")])))
    assert counted.flaw == "leaves follow its closing manifest"


def test_a_run_that_has_not_ended_is_pending() -> None:
    assert count_run(RUN, list(enumerate(WRITTEN))).pending == "no closing manifest in the log"


def test_a_manifest_of_an_older_kind_is_pending() -> None:
    counted = count_run(RUN, list(enumerate([*WRITTEN, leaf("run.finished", {"orders": 1})])))
    assert counted.pending == "its closing manifest counts no leaves"


def test_bytes_that_are_no_json_stop_nothing() -> None:
    assert count_run(RUN, [(0, b"\xff"), (1, b"[]")]).pending
