"""The verification of an exported log, from the first file to the verdict."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from necto_verify import heads, history, proofs, tree
from necto_verify.faults import Faults, InputUnusable
from necto_verify.layout import Export
from necto_verify.notes import NoteRefused
from necto_verify.openings import Commitments
from necto_verify.policy import GIVEN, Policy, check_keys, parse_given_key, parse_policy, policy_for
from necto_verify.reading import read_bundles
from necto_verify.runs import MAX_LISTED, Runs
from necto_verify.times import TOLERANCE, Sandwich, read_anchors
from necto_verify.verdict import RunCount, Verdict, levels_of


def verify(
    folder: Path,
    *,
    vkey: str | None = None,
    policy: bytes | None = None,
    saved: Sequence[Path] = (),
    tolerance: timedelta = TOLERANCE,
    thorough: bool = False,
    workers: int = 1,
) -> Verdict:
    """Verify the export in `folder`; nothing stops at the first fault. Streams: memory does not grow with the log.

    `vkey` is the log's public key and `policy` the content of a policy, both as the auditor has them; without
    them the export's own are used. `saved` are checkpoints kept elsewhere, as files or folders. `thorough` parses every
    leaf. With several `workers` a large log is read by processes beside this one. Raises InputUnusable for what the
    auditor gave, never for what is wrong with the export.

    1. Keys: none of low order or misspelled (KEY), the current one listed in the policy (KEY).
    2. Checkpoints, each alone: well formed and signed (CHECKPOINT), by a key for its size (KEY), of this log (ORIGIN).
    3. Timestamps over checkpoints (ANCHOR).
    4. Entries, bundle by bundle:
       a. each bundle is there and whole (MISSING, INDEX), each entry has the hash in its tile (LEAF_HASH);
       b. tiles of every level follow from the one below (TILE, MISSING);
       c. each leaf has a time, a type and a version (LEAF), and its time lies between its timestamps (TIME, AFTER);
       d. runs have as many entries as their manifests say (RUN).
    5. No file beyond what the signed size calls for (SURPLUS), and earlier partial tiles fit (TILE).
    6. Roots: the entries lead to each signed root (ROOT, FORK), and `checkpoint` is the largest (TRUNCATED).
    7. Saved checkpoints: none larger than the log (TRUNCATED), each root one of this log (FORK).
    8. Proofs lead from their entries to signed roots (PROOF).
    9. Openings match what their entries commit to (OPENING).
    """
    export = Export(folder)
    if not folder.is_dir():
        raise InputUnusable(f"{folder} is not a folder; name one that holds an export")
    faults = Faults()
    trust = _trust(export, vkey, policy, faults)

    newest, own = heads.log_heads(export, trust, faults)
    kept = heads.saved_heads(saved, trust, faults)
    in_proofs = proofs.proof_heads(export, trust, faults)
    own_holding = [head for head in (*own, *in_proofs) if head.holds]
    kept_holding = [head for head in kept if head.holds]
    size = newest.checkpoint.size if newest else max((head.checkpoint.size for head in own), default=0)

    anchors, unjudged = read_anchors(export, trust, faults)

    wanted = [head.checkpoint.size for head in (*own_holding, *kept_holding)]
    growing = tree.Tree(export, size, [*wanted, size], faults)
    sandwich = Sandwich(export, anchors, growing.root_at, faults, tolerance)
    runs, commitments = Runs(faults), Commitments()
    for bundle in read_bundles(export, size, workers=workers, thorough=thorough):
        faults.add(bundle.faults)
        goes_on = growing.take(bundle)
        sandwich.take(bundle, size)
        runs.take(bundle)
        commitments.take(bundle)
        if not goes_on:
            break
    growing.close()

    faults.add(tree.check_no_surplus(export, size))

    covered = history.covered_size((*own_holding, *kept_holding), growing.root_at)
    faults.add(history.check_roots(own_holding, growing.root_at, covered))
    faults.add(history.check_length(newest, own_holding))
    faults.add(history.check_saved_roots(kept_holding, growing.root_at, covered))
    faults.add(history.check_saved_length(kept_holding, size))

    proved = proofs.verify_proofs(export, size, faults)
    fields = commitments.fields(export, size, faults)

    signed = {(head.checkpoint.size, head.checkpoint.root) for head in own_holding}
    lengths = tuple(sorted({head.checkpoint.size for head in kept_holding}))
    run_count = RunCount(
        runs.agreed, len(runs.unfinished()), tuple(runs.unfinished()[:MAX_LISTED]), known=not runs.given_up
    )
    return Verdict(
        origin=trust.origin,
        size=growing.size,
        root=growing.root_at.get(growing.size, b""),
        policy=trust,
        faults=faults.named(),
        fault_count=faults.count,
        levels=levels_of(
            ok=not faults.count,
            size=growing.size,
            policy=trust,
            checkpoints=len(signed),
            saved=lengths,
            anchors=anchors,
            runs=run_count,
        ),
        checkpoints=len(signed),
        saved_sizes=lengths,
        anchors=tuple(anchors),
        anchors_unjudged=tuple(unjudged),
        runs=run_count,
        proofs=proved,
        fields=tuple(fields),
        fields_uncounted=commitments.uncounted,
    )


def _trust(export: Export, vkey: str | None, policy: bytes | None, faults: Faults) -> Policy:
    """Whom to believe; raises InputUnusable for a key or a policy of the auditor that cannot be used."""
    given_key = parse_given_key(vkey) if vkey is not None else None
    given_policy = None
    if policy is not None:
        try:
            given_policy = parse_policy(policy, GIVEN)
        except NoteRefused as refused:
            raise InputUnusable(str(refused)) from refused
    trust, wrong = policy_for(export, given_key, given_policy)
    faults.add(wrong)
    faults.add(check_keys(trust))
    return trust
