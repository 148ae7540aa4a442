"""The inclusion proofs of an export (C2SP tlog-proof v1), and single entries by their index."""

from dataclasses import dataclass, field
from typing import Final

from necto_verify.bundles import cut
from necto_verify.faults import Fault, Faults, Kind
from necto_verify.heads import Head, open_head
from necto_verify.layout import MAX_BUNDLE_BYTES, TILE_WIDTH, Export, Unreadable, tile_of
from necto_verify.merkle import PathRefused, leaf_hash, root_from_path
from necto_verify.notes import Checkpoint, Note, NoteRefused, decimal, from_base64
from necto_verify.policy import Policy

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES: Final = 1024 * 1024
_SUFFIX: Final = ".tlog-proof"


@dataclass(frozen=True)
class Proof:
    """A proof as read: the index, the audit path from the leaf upwards, and the checkpoint it leads to."""

    index: int
    path: tuple[bytes, ...]
    note: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Proof":
        """Read a proof; `extra` data is passed over, for nobody signed it. Raises NoteRefused."""
        head, blank, note = data.partition(b"\n\n")
        header, *lines = head.decode(errors="replace").split("\n")
        if header != HEADER or not blank:
            raise NoteRefused(f"it does not begin with {HEADER!r}, or has no blank line before its checkpoint")
        if lines and lines[0].startswith("extra "):
            lines.pop(0)
        if not lines or not lines[0].startswith("index "):
            raise NoteRefused("it has no line 'index N' after its header")
        index = decimal(lines[0].removeprefix("index "))
        return cls(index, tuple(from_base64(line) for line in lines[1:]), note)


@dataclass
class Entries:
    """Single entries of an export; the bundle read last is kept."""

    export: Export
    size: int
    _number: int = -1
    _held: list[bytes] = field(default_factory=list)

    def at(self, index: int) -> bytes:
        """The entry's bytes; raises Unreadable when the log has none there."""
        number, position = divmod(index, TILE_WIDTH)
        if number != self._number:
            name = tile_of("entries", number, self.size)
            if name is None:
                raise Unreadable(f"the log has no entry {index}")
            self._held = cut(self.export.read(name.path, MAX_BUNDLE_BYTES), name.width)[0]
            self._number = number
        if position >= len(self._held):
            raise Unreadable(f"the log has no entry {index}")
        return self._held[position]


def proof_heads(export: Export, policy: Policy, faults: Faults) -> list[Head]:
    """The distinct checkpoints inside the export's proofs, and a fault for each proof that cannot be read."""
    heads: dict[bytes, Head | None] = {}
    for name in _names(export):
        try:
            proof = _read(export, name)
        except (Unreadable, NoteRefused) as refused:
            faults.add(check_proof_readable(name, refused))
            continue
        if proof.note not in heads:
            heads[proof.note] = open_head(f"proof/{name}{_SUFFIX}", proof.note, policy, faults)
    return [head for head in heads.values() if head]


def verify_proofs(export: Export, size: int, faults: Faults) -> int:
    """Check every proof that can be read; returns how many hold."""
    entries, good = Entries(export, size), 0
    for name in _names(export):
        try:
            proof = _read(export, name)
        except (Unreadable, NoteRefused):
            continue  # `proof_heads` said so
        wrong = check_proof(name, proof, entries)
        faults.add(wrong)
        good += not wrong
    return good


def check_proof_readable(name: str, refused: ValueError) -> list[Fault]:
    """A proof is the text of a proof."""
    return [Fault(Kind.PROOF, None, f"proof/{name}{_SUFFIX}: {refused}")]


def check_proof(name: str, proof: Proof, entries: Entries) -> list[Fault]:
    """A proof is of the entry in its name and leads from that entry's bytes to its checkpoint's root."""
    place = f"proof/{name}{_SUFFIX}"
    if name != str(proof.index):
        return [Fault(Kind.PROOF, proof.index, f"{place}: it is of entry {proof.index}")]
    try:
        checkpoint = Checkpoint.parse(Note.parse(proof.note).text)
        root = root_from_path(leaf_hash(entries.at(proof.index)), proof.index, checkpoint.size, proof.path)
    except (NoteRefused, PathRefused, Unreadable) as refused:
        return [Fault(Kind.PROOF, proof.index, f"{place}: {refused}")]
    if root == checkpoint.root:
        return []
    return [Fault(Kind.PROOF, proof.index, f"{place}: its path does not lead from the entry to its checkpoint")]


def _names(export: Export) -> list[str]:
    """In the order of the entries, so that neighbours are read from one bundle."""
    return sorted(export.names("proof", _SUFFIX), key=lambda name: (len(name), name))


def _read(export: Export, name: str) -> Proof:
    return Proof.parse(export.read(f"proof/{name}{_SUFFIX}", MAX_PROOF_BYTES))
