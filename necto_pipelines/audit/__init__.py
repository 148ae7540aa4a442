"""The audit trail as mathematics: leaves, Merkle tree, signed checkpoints, proofs and the verifier.

Bytes in, bytes out: no file, socket or database. Keeping the trail, signing it in time and comparing it with the
business rows belong to `books`. What the trail promises, and what it cannot, stands in docs/concepts/audit.md.
"""
