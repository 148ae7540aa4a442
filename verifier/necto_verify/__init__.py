"""Checks an exported audit log offline: entries, tiles, signed checkpoints, proofs, timestamps, run manifests.

Reads the public formats C2SP tlog-tiles, signed-note, tlog-checkpoint and tlog-proof, and RFC 3161 timestamps; Necto's
own conventions for leaves lie on top. It was written apart from the program that writes the log and shares no line with
it, so that a fault in one is found by the other. It opens no socket and no database and writes nothing.
"""

from necto_verify.faults import Fault, InputUnusable, Kind
from necto_verify.verdict import Assurance, Level, Verdict
from necto_verify.verification import verify

__all__ = ["Assurance", "Fault", "InputUnusable", "Kind", "Level", "Verdict", "verify"]
