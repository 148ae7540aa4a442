"""Checkpoints under a trusted time: RFC 3161 over HTTP (its section 3.4), verified before it counts.

The note's exact bytes are stamped, with a nonce. Reading timestamps without this library is the business of the
stand-alone verifier, which is stricter: see docs/operations/anchors.md.
"""

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Final

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from necto_pipelines.anchors.port import Receipt
from necto_pipelines.anchors.posting import Poster
from necto_pipelines.failures import InvalidInput, Problem, Refused
from necto_pipelines.model.anchor import AnchorKind

QUERY: Final = "application/timestamp-query"
_GRANTED: Final = 0


class TimestampAnchor:
    """A time-stamping authority whose certificates lead to one of `roots`."""

    kind = AnchorKind.RFC3161

    def __init__(self, poster: Poster, roots: Sequence[x509.Certificate]) -> None:
        self.name = poster.host
        self._poster = poster
        self._roots = list(roots)

    def place(self, note: str, size: int) -> Receipt:
        """As `Anchor.place`: `Refused` also when the answer does not prove a time of this note under our roots."""
        stamped = note.encode()
        request = TimestampRequestBuilder().data(stamped).hash_algorithm(HashAlgorithm.SHA256).build()
        answer = self._poster.post(request.as_bytes(), QUERY)
        verifier = VerifierBuilder(roots=self._roots, nonce=request.nonce).build()
        try:
            response = decode_timestamp_response(answer)
            if response.status != _GRANTED:
                raise Refused(f"{self.name}: granted no timestamp, {_reason(response)}")
            verifier.verify_message(response, stamped)
        except (ValueError, VerificationError) as error:
            raise Refused(f"{self.name}: the timestamp is not accepted: {str(error)[:300]}") from error
        return Receipt(at=response.tst_info.gen_time.astimezone(UTC), token=answer)


def read_roots(file: Path, variable: str) -> list[x509.Certificate]:
    """The certificates in a PEM file. Raises InvalidInput when there are none."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput([Problem(variable, str(file), f"a readable PEM file with certificates; {error}")]) from error


def _reason(response: TimeStampResponse) -> str:
    words = " ".join(response.status_string)[:200]
    return f"status {response.status} ({words})" if words else f"status {response.status}"
