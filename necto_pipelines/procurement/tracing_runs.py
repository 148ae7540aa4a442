"""A Dagster run as the log has it: what its manifest counts, held against the leaves that are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from necto_pipelines.audit.merkle import leaf_hash
from necto_pipelines.procurement.tracing_hops import read_object


@dataclass(frozen=True)
class RunCount:
    """What the log says of one run. `leaves` are all it wrote, `manifest` those about the run itself."""

    job: str
    facts: dict[str, str]
    leaves: tuple[int, ...]
    manifest: tuple[int, ...]
    seals: tuple[str, ...]
    """keys of the rows in which what Dagster logged of it is sealed"""
    flaw: str
    pending: str


def count_run(run_id: str, named: Sequence[tuple[int, bytes]]) -> RunCount:
    """Hold a run's closing manifest against its leaves; `named` are the leaves that name the run, in log order.

    `run.finished` counts the leaves that the run wrote before it, and holds the SHA-256 over their hashes. A run
    without one is pending: it still runs, it died, or it is older than manifests are.
    """
    events = [(index, leaf, read_object(leaf)) for index, leaf in named]
    written = [(index, leaf, event) for index, leaf, event in events if _writer(event) == run_id]
    kinds = {index: str(event.get("type")) for index, _, event in events}
    finished = [(index, event) for index, _, event in written if kinds[index] == "run.finished"]
    flaw, pending = "", ""
    if not finished:
        pending = "no closing manifest in the log"
    else:
        index, event = finished[-1]
        body = event.get("body") or {}
        before = [leaf for at, leaf, _ in written if at < index]
        digest = sha256(b"".join(leaf_hash(leaf) for leaf in before)).hexdigest()
        if "digest" not in body:
            pending = "its closing manifest counts no leaves"
        elif (body.get("count"), body["digest"]) != (len(before), digest):
            flaw = f"its closing manifest counts {body.get('count')} other leaves than the {len(before)} in the log"
        elif written[-1][0] > index:
            flaw = "leaves follow its closing manifest"
    started = next((event for index, _, event in written if kinds[index] == "run.started"), {})
    facts = {
        "planned": str((started.get("body") or {}).get("planned") or ""),
        "leaves": str(len(written)),
        "manifest": flaw or pending or "complete: count and digest agree",
    }
    about = tuple(index for index, kind in kinds.items() if kind in ("run.started", "run.finished", "run.sealed"))
    seals = [
        str(row["key"])
        for index, _, event in events
        if kinds[index] == "run.sealed"
        for row in event.get("rows") or ()
        if row.get("table") == "run_seals"
    ]
    job = next((str(event["run"].get("job") or "") for _, _, event in written), "")
    return RunCount(job, facts, tuple(kinds), about or tuple(kinds)[-1:], tuple(dict.fromkeys(seals)), flaw, pending)


def _writer(event: dict[str, object]) -> str:
    run = event.get("run")
    return str(run.get("dagster_run_id")) if isinstance(run, dict) else ""
