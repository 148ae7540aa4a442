"""What a provable bundle is made of, field by field: its JSON Schema is docs/reference/trace-bundle.schema.json.

How it is filled and judged stands in `proof_bundle.py`, how it is written as a folder in `bundle_files.py`.
"""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from necto_pipelines.procurement.tracing_hops import Kept

SCHEMA: Final = "necto/trace-bundle@v1"
TIMED: Final = "rfc3161"


class Verdict(StrEnum):
    """What was found about one hop."""

    PROVED = "proved"
    """its leaf is in the signed log and its row is as that leaf says, or its bytes hash to their name"""
    PART = "part"
    """no evidence of its own: it is part of the hop above it, and stands or falls with that"""
    PENDING = "pending"
    """it cannot be judged yet, as a run that has not closed its manifest; counts neither way"""
    ROW_DIFFERS = "row differs"
    """the row is not as the newest leaf about it left it, or is gone"""
    UNPROVED = "unproved"
    """no leaf names it, or the leaf's proof does not hold, or the leaf contradicts the log"""
    BLOB_MISSING = "blob missing"
    BLOB_DIFFERS = "blob differs"


FAILED: Final = (Verdict.ROW_DIFFERS, Verdict.UNPROVED, Verdict.BLOB_MISSING, Verdict.BLOB_DIFFERS)


class Level(StrEnum):
    """How far the bundle as a whole can be relied on; each level includes the ones before it."""

    BROKEN = "broken"
    SELF_CONSISTENT = "self-consistent"
    """one signed tree holds every leaf; whoever has the signing key could have made it so"""
    CONSISTENT_WITH = "consistent-with"
    """and checkpoints that were put elsewhere cover every leaf: compare them with the copies there"""
    TIME_BOUNDED = "time-bounded"
    """and time stamps of an outside authority cover every leaf: check them with the authority's certificate"""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class BundleRow(_Record):
    """A row of the books."""

    table: str
    key: str
    text: str | None
    """base64 of its canonical JSON, whose SHA-256 the leaf holds; null when the row is gone"""


class BundleBlob(_Record):
    """Kept bytes."""

    sha256: str
    kept: Kept
    size: int | None


class BundleHop(_Record):
    """One step of the walk."""

    id: str
    kind: str
    key: str
    title: str
    facts: dict[str, str]
    verdict: Verdict
    why: str
    """what is wrong or not known yet; empty otherwise"""
    leaf: int | None
    """index of the leaf it is judged by: the newest about it"""
    leaves: tuple[int, ...]
    """indexes of all leaves that were read for it, oldest first; every one of them is proved, or it is not"""
    row: BundleRow | None
    blob: BundleBlob | None
    rests_on: tuple[str, ...]
    """ids of the hops below"""
    simulated: bool


class BundleLeaf(_Record):
    """An entry of the log and the proof that it stands there."""

    index: int
    id: str
    type: str
    time: str
    """as the leaf says; what is proved of it stands in not_before and not_after"""
    leaf: str
    """base64 of the exact bytes"""
    leaf_hash: str
    """base64 of SHA-256(0x00 || leaf)"""
    hashes: tuple[str, ...]
    """the audit path to the checkpoint's root (RFC 6962), base64"""
    proof: str
    """the same as C2SP tlog-proof text, for tools"""
    not_before: str | None
    """an authority's time stamp that stood before the leaf was written"""
    not_after: str | None
    """an authority's time stamp on a checkpoint that covers the leaf"""


class BundleAnchor(_Record):
    """A checkpoint of this log that was put out of the operator's reach."""

    size: int
    root: str
    kind: str
    """rfc3161, copy or webhook"""
    place: str
    at: str | None
    """the time that the authority states"""
    token: str | None
    """base64 of the authority's answer (RFC 3161) over the bytes of the checkpoint"""
    checkpoint: str | None
    """the checkpoint that was anchored; null when it is no longer in the books"""
    consistency: tuple[str, ...]
    """proof that the tree of this bundle's checkpoint grew from it (RFC 6962 section 2.1.2), base64"""
    holds: bool
    """whether checkpoint and consistency proof hold; the token is checked with the authority's certificate, not here"""


class BundleLog(_Record):
    """The log that everything is proved in."""

    origin: str
    vkey: str
    """its public key; have it from another source than this bundle"""
    size: int
    root: str
    """base64"""
    checkpoint: str
    """the signed note that every proof leads to"""
    policy: str
    """policy.json as an export has it: which keys may have signed which sizes"""


class Assurance(_Record):
    """How far the whole can be relied on."""

    level: Level
    says: str
    not_before: str | None
    not_after: str | None
    places: tuple[str, ...]
    """where checkpoints that cover leaves of this bundle were put"""


class Bundle(_Record):
    """Everything behind one thing, and what was found about it."""

    schema_name: str
    about: str
    """id of the first hop: the thing that was asked about"""
    made_at: str
    simulated: bool
    """true when any of it comes from a simulated network or payment rail"""
    ok: bool
    """false when any hop failed"""
    assurance: Assurance
    log: BundleLog
    hops: tuple[BundleHop, ...]
    leaves: tuple[BundleLeaf, ...]
    anchors: tuple[BundleAnchor, ...]
    faults: tuple[str, ...]
    """what is wrong with the log as a whole"""

    @property
    def root(self) -> BundleHop:
        """The thing that was asked about."""
        return self.hops[0]

    @property
    def failed(self) -> tuple[BundleHop, ...]:
        """The hops that failed."""
        return tuple(hop for hop in self.hops if hop.verdict in FAILED)
