"""Anchors of the audit log: where a signed checkpoint was put out of the operator's reach, and what that proves."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class AnchorKind(StrEnum):
    """What an anchor adds; see docs/operations/anchors.md."""

    COPY = "copy"
    """a file in another storage: a rewritten or shortened log no longer fits it"""
    WEBHOOK = "webhook"
    """a message to somebody else, who keeps it"""
    RFC3161 = "rfc3161"
    """a time-stamping authority's proof that the checkpoint existed at a moment"""


class Anchored(BaseModel):
    """A checkpoint that stands somewhere else."""

    model_config = ConfigDict(frozen=True)

    id: str
    size: int
    root: str
    """base64, as in the checkpoint"""
    kind: AnchorKind
    place: str
    at: datetime | None
    """the proved time, to the second; None for kinds that prove none"""
    token: str | None
    """base64 of the authority's answer (DER, TimeStampResp); None for kinds that have none"""
