"""The provable bundle of a walk: every leaf with its proof to one checkpoint, every row and digest, a verdict a hop.

All verdicts are reached from what the bundle itself holds, so that whoever receives it reaches them again without
Necto's database. What it is made of stands in `proof_records.py`; `bundle_files.py` writes it as a folder.
"""

from base64 import b64decode, b64encode
from hashlib import sha256

from necto_pipelines.audit.checkpoint import Checkpoint, open_checkpoint
from necto_pipelines.audit.merkle import leaf_hash, verify_consistency
from necto_pipelines.audit.note import Verifier
from necto_pipelines.audit.policy import Policy
from necto_pipelines.audit.proof import tlog_proof, verify_tlog_proof
from necto_pipelines.books.books import Books
from necto_pipelines.books.snapshot import AnchorProof, Proofs
from necto_pipelines.failures import AuditBroken
from necto_pipelines.model.clock import rfc3339
from necto_pipelines.procurement.proof_records import (
    FAILED,
    SCHEMA,
    TIMED,
    Assurance,
    Bundle,
    BundleAnchor,
    BundleBlob,
    BundleHop,
    BundleLeaf,
    BundleLog,
    BundleRow,
    Level,
    Verdict,
)
from necto_pipelines.procurement.runtime import Runtime
from necto_pipelines.procurement.tracing import walk_from
from necto_pipelines.procurement.tracing_hops import Blob, Hop, Kept, Row, read_object


def trace(runtime: Runtime, what: str) -> Bundle:
    """The bundle of whatever `what` names: an invoice, a line of it, an order, a lease, a charge, a run, ….

    1. Walk the books in one snapshot. 2. Sign, so that a checkpoint covers every leaf that was seen. 3. Prove all
    leaves to that checkpoint. 4. Judge every hop by its leaf, row and bytes.

    Raises InvalidInput when nothing is called that, and `Unavailable` when nothing was ever signed.
    """
    with runtime.books.snapshot() as books:
        hops = walk_from(books, runtime.warehouse, what)
    faults = _sign(runtime.books)
    policy, wrong = _policy(runtime.books)
    proofs = runtime.books.proofs({index for hop in hops.values() for index in _read(hop)}, policy)
    made_at = rfc3339(runtime.clock.now())
    return _bundle(list(hops.values()), proofs, runtime.books.vkey, policy, made_at, faults + wrong)


def _sign(books: Books) -> list[str]:
    """Sign what is new. A log that may not be signed is a fault to show, under the newest checkpoint there is."""
    try:
        books.sign()
    except AuditBroken as fault:
        return [str(fault)]
    return []


def _policy(books: Books) -> tuple[Policy, list[str]]:
    """Which keys may have signed; when the log's own word on that is broken, the current key alone."""
    try:
        return books.policy(), []
    except AuditBroken as fault:
        return Policy.of(Verifier.from_vkey(books.vkey)), [str(fault)]


def _bundle(hops: list[Hop], proofs: Proofs, vkey: str, policy: Policy, made_at: str, faults: list[str]) -> Bundle:
    verifier = Verifier.from_vkey(vkey)
    head = open_checkpoint(proofs.note, verifier)
    anchors = tuple(_anchor(anchored, policy, head) for anchored in proofs.anchors)
    leaves = {index: _leaf(index, *proof, proofs.note, anchors) for index, proof in proofs.leaves.items()}
    refused = {index: _refusal(leaf, verifier) for index, leaf in leaves.items()}
    judged = tuple(_judged(hop, leaves, refused) for hop in hops)
    ok = not faults and not any(hop.verdict in FAILED for hop in judged)
    return Bundle(
        schema_name=SCHEMA,
        about=judged[0].id,
        made_at=made_at,
        simulated=any(hop.simulated for hop in judged),
        ok=ok,
        assurance=_assurance(ok, tuple(leaves.values()), anchors),
        log=BundleLog(
            origin=head.origin,
            vkey=vkey,
            size=head.size,
            root=_base64(head.root),
            checkpoint=proofs.note,
            policy=policy.to_json(),
        ),
        hops=judged,
        leaves=tuple(leaves.values()),
        anchors=anchors,
        faults=tuple(faults),
    )


def _judged(hop: Hop, leaves: dict[int, BundleLeaf], refused: dict[int, str]) -> BundleHop:
    verdict, why = _verdict(hop, leaves, refused)
    row = hop.row and BundleRow(
        table=hop.row.table, key=hop.row.key, text=None if hop.row.text is None else _base64(hop.row.text)
    )
    return BundleHop(
        id=hop.id,
        kind=hop.kind,
        key=hop.key,
        title=hop.title,
        facts=dict(hop.facts),
        verdict=verdict,
        why=why,
        leaf=hop.leaves[-1] if hop.leaves else None,
        leaves=_read(hop),
        row=row,
        blob=hop.blob and BundleBlob(sha256=hop.blob.sha256, kept=hop.blob.kept, size=hop.blob.size),
        rests_on=hop.rests_on,
        simulated=hop.simulated,
    )


def _verdict(hop: Hop, leaves: dict[int, BundleLeaf], refused: dict[int, str]) -> tuple[Verdict, str]:
    """The verdict on one hop, and what is wrong.

    1. Bytes must be there and hash to their name. 2. Every leaf about it must be proved, and the walk have found
    nothing wrong. 3. A row must be named by a leaf; a hop without row, leaf and bytes is part of another one. 4. The
    row must have the digest that the newest of these leaves gives. 5. What cannot be judged yet is told as such.
    """
    if hop.blob and hop.blob.kept is not Kept.WHOLE:
        return _verdict_on_lost(hop.blob)
    faults = [refused.get(index, f"leaf {index} is under no signed checkpoint") for index in _read(hop)]
    if fault := next(filter(None, faults), hop.flaw):
        return Verdict.UNPROVED, fault
    if not hop.leaves and not hop.blob:
        return (Verdict.UNPROVED, "no leaf names this row") if hop.row else (Verdict.PART, "")
    if hop.row and (difference := _difference(hop.row, leaves[hop.leaves[-1]])):
        return Verdict.ROW_DIFFERS, difference
    return (Verdict.PENDING, hop.pending) if hop.pending else (Verdict.PROVED, "")


def _read(hop: Hop) -> tuple[int, ...]:
    """Indexes of every leaf that was read for a hop: all of them must be proved."""
    return tuple(sorted({*hop.leaves, *hop.consulted}))


def _verdict_on_lost(blob: Blob) -> tuple[Verdict, str]:
    if blob.kept is Kept.MISSING:
        return Verdict.BLOB_MISSING, "the bytes are not in the warehouse"
    return Verdict.BLOB_DIFFERS, "the bytes no longer hash to their name"


def _difference(row: Row, newest: BundleLeaf) -> str:
    """How a row differs from what the newest leaf about it says; empty when it does not."""
    if row.text is None:
        return f"the row is gone; leaf {newest.index} is the newest about it"
    said = read_object(b64decode(newest.leaf)).get("rows") or ()
    about = [each.get("sha256") for each in said if (each.get("table"), each.get("key")) == (row.table, row.key)]
    same = about == [sha256(row.text).hexdigest()]
    return "" if same else f"the row is not as leaf {newest.index}, the newest about it, left it"


def _leaf(
    index: int, leaf: bytes, hashes: tuple[bytes, ...], note: str, anchors: tuple[BundleAnchor, ...]
) -> BundleLeaf:
    event = read_object(leaf)
    stamps = sorted((anchor.at, anchor.size) for anchor in anchors if anchor.kind == TIMED and anchor.at)
    after = event.get("after")
    before_size = after.get("size") if isinstance(after, dict) else None
    return BundleLeaf(
        index=index,
        id=str(event.get("id") or ""),
        type=str(event.get("type") or "unreadable"),
        time=str(event.get("ts") or ""),
        leaf=_base64(leaf),
        leaf_hash=_base64(leaf_hash(leaf)),
        hashes=tuple(map(_base64, hashes)),
        proof=tlog_proof(index, hashes, note),
        not_before=next((at for at, size in stamps if size == before_size), None),
        not_after=next((at for at, size in stamps if size > index), None),
    )


def _refusal(leaf: BundleLeaf, verifier: Verifier) -> str:
    """Why the leaf's proof does not hold; empty when it does."""
    try:
        verify_tlog_proof(leaf.proof, b64decode(leaf.leaf), verifier)
    except AuditBroken as refused:
        return f"leaf {leaf.index}: {refused}"
    return ""


def _anchor(anchored: AnchorProof, policy: Policy, head: Checkpoint) -> BundleAnchor:
    return BundleAnchor(
        size=anchored.size,
        root=anchored.root,
        kind=anchored.kind,
        place=anchored.place,
        at=rfc3339(anchored.at) if anchored.at else None,
        token=anchored.token,
        checkpoint=anchored.note,
        consistency=tuple(map(_base64, anchored.consistency)),
        holds=_holds(anchored, policy, head),
    )


def _holds(anchored: AnchorProof, policy: Policy, head: Checkpoint) -> bool:
    try:
        old = policy.open(anchored.note or "")
        verify_consistency(old.size, head.size, old.root, head.root, anchored.consistency)
    except AuditBroken:
        return False
    return (old.size, _base64(old.root)) == (anchored.size, anchored.root)


def _assurance(ok: bool, leaves: tuple[BundleLeaf, ...], anchors: tuple[BundleAnchor, ...]) -> Assurance:
    last = max((leaf.index for leaf in leaves), default=-1)
    holding = [anchor for anchor in anchors if anchor.holds]
    places = tuple(sorted({anchor.place for anchor in holding}))
    covering = [anchor for anchor in holding if anchor.size > last]
    timed = [anchor.at for anchor in covering if anchor.kind == TIMED and anchor.at]
    if not ok:
        level, says = Level.BROKEN, "at least one hop failed: see the verdicts"
    elif timed:
        level = Level.TIME_BOUNDED
        says = "every leaf stood in the log when an outside authority stamped a checkpoint; check its stamp"
    elif covering:
        level = Level.CONSISTENT_WITH
        says = "every leaf is under a checkpoint that was put elsewhere; compare it with the copy there"
    else:
        level = Level.SELF_CONSISTENT
        says = "every leaf is in one signed tree; a checkpoint in somebody else's hands is needed to rule out another"
    starts = [leaf.not_before for leaf in leaves if leaf.not_before]
    return Assurance(
        level=level,
        says=says,
        not_before=min(starts) if len(starts) == len(leaves) and starts else None,
        not_after=min(timed) if ok and timed else None,
        places=places,
    )


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
