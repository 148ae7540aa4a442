"""Portable inclusion proofs: C2SP tlog-proof text, and the same facts as JSON under Rekor's field names.

Both hold everything a verifier needs besides the leaf and the log's public key, and are checked without a network.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from necto_pipelines.audit.checkpoint import Checkpoint, open_checkpoint, parse_decimal
from necto_pipelines.audit.merkle import ProofRefused, leaf_hash, verify_inclusion
from necto_pipelines.audit.note import Verifier, decode_base64

HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class Inclusion:
    """What a proof proved: the leaf stands at `index` in the log of `checkpoint`.

    `extra` came with the proof and is signed by nobody: never trust it for being there.
    """

    index: int
    checkpoint: Checkpoint
    extra: bytes | None


def tlog_proof(index: int, hashes: Sequence[bytes], checkpoint_note: str, extra: bytes | None = None) -> str:
    """The proof as C2SP tlog-proof v1 text (file extension `.tlog-proof`).

    `hashes` is the audit path for `index` in the tree of `checkpoint_note`; empty `extra` data is left out.
    """
    lines = [HEADER]
    if extra:
        lines.append(f"extra {_base64(extra)}")
    lines.append(f"index {index}")
    lines.extend(_base64(digest) for digest in hashes)
    return "\n".join(lines) + "\n\n" + checkpoint_note


def verify_tlog_proof(text: str, leaf: bytes, verifier: Verifier, *, origin: str | None = None) -> Inclusion:
    """What `text` proves about the leaf's exact bytes.

    1. Read the proof: header, optional extra data, index, hashes, checkpoint (else `ProofRefused`).
    2. Open the checkpoint: signed by `verifier` for the log `origin`, by default the key's name (else `NoteRefused`).
    3. Check the audit path from the leaf's hash to the checkpoint's root (else `ProofRefused`).
    """
    index, hashes, note, extra = _parse(text)
    checkpoint = open_checkpoint(note, verifier, origin=origin)
    verify_inclusion(leaf_hash(leaf), index, checkpoint.size, hashes, checkpoint.root)
    return Inclusion(index, checkpoint, extra)


def rekor_json(
    index: int,
    leaf: bytes,
    hashes: Sequence[bytes],
    checkpoint_note: str,
    verifier: Verifier,
    *,
    origin: str | None = None,
) -> dict[str, Any]:
    """The proof as a JSON object with the field names of a Sigstore bundle's inclusion proof, and the leaf beside them.

    As there, 64-bit integers are decimal strings and bytes standard base64 (protobuf's JSON form). `treeSize` and
    `rootHash` repeat what the checkpoint says. The proof is checked before it is handed out: raises as
    `verify_tlog_proof` does.
    """
    checkpoint = open_checkpoint(checkpoint_note, verifier, origin=origin)
    verify_inclusion(leaf_hash(leaf), index, checkpoint.size, hashes, checkpoint.root)
    return {
        "logIndex": str(index),
        "treeSize": str(checkpoint.size),
        "rootHash": _base64(checkpoint.root),
        "hashes": [_base64(digest) for digest in hashes],
        "checkpoint": {"envelope": checkpoint_note},
        "leaf": _base64(leaf),
    }


def _parse(text: str) -> tuple[int, list[bytes], str, bytes | None]:
    proof, blank, note = text.partition("\n\n")
    header, *lines = proof.split("\n")
    if header != HEADER or not blank:
        raise ProofRefused(f"proof: it begins with {HEADER!r} and has a blank line before its checkpoint")
    try:
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode_base64(lines.pop(0).removeprefix("extra "))
        if not lines or not lines[0].startswith("index "):
            raise ProofRefused("proof: a line 'index N' is missing after the header")
        index = parse_decimal(lines.pop(0).removeprefix("index "))
        return index, [decode_base64(line) for line in lines], note, extra
    except ValueError as error:
        raise ProofRefused(f"proof: {error}") from error


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
