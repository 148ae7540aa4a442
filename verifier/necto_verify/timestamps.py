"""RFC 3161 timestamps: proof by a time-stamping authority that bytes existed at a moment.

What is read is the answer of such an authority (TimeStampResp) or the bare token in it: signed data (`cms.py`) over a
TSTInfo. How DER is read stands in `der.py`; who may sign time, and which certificates lead to a trusted root, in
`certificates.py`. **Not** checked: revocation, and the nonce, which only whoever asked knows. The authority's stated
accuracy is not added to the moment.
"""

import hmac
import re
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from necto_verify.certificates import check_chain, check_may_sign_time, from_pem
from necto_verify.cms import check_attributes, check_signature, digest_of, find_signer, hash_named, read_signed
from necto_verify.der import BOOLEAN, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, Parts, integer, oid

MAX_TIMESTAMP_BYTES: Final = 256 * 1024
_GRANTED: Final = (0, 1)
"""PKIStatus granted and grantedWithMods"""
_STATUS: Final = {2: "rejection", 3: "waiting", 4: "revocation warning", 5: "revocation notification"}
_TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"
_UNREADABLE: Final = (
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""what `cryptography` raises, besides ValueError, for a certificate it cannot read"""
_GENERALIZED_TIME: Final = re.compile(rb"([0-9]{14})(?:\.([0-9]{1,9}))?Z")


class TimestampRefused(ValueError):
    """A timestamp does not prove what it should; the message says why."""


def verify_timestamp(tsr: bytes, data: bytes, trusted_pem: bytes, extra_pem: bytes = b"") -> datetime:
    """The moment in UTC (genTime) at which, as `tsr` proves, `data` existed; digits beyond microseconds are cut off.

    `trusted_pem` holds the certificates that are believed as they stand, `extra_pem` further ones that may lead there.
    Raises TimestampRefused. The checks, in this order:

    1. The answer says granted, and holds a token: SignedData over one TSTInfo of version 1, with one signer.
    2. The TSTInfo names the SHA-256, 384 or 512 of `data`.
    3. The signed attributes name a TSTInfo, its digest, and the signer's certificate by its hash.
    4. That certificate's key signed those attributes.
    5. It was for time stamps only and valid at that moment, as was every certificate up to a trusted one.
    """
    try:
        token = read_signed(_token(tsr), _TST_INFO)
        moment = _read_info(token.content, data)
        check_attributes(token, _TST_INFO)
        trusted = from_pem(trusted_pem, "trusted certificates")
        extra = from_pem(extra_pem, "further certificates") if extra_pem.strip() else []
        known = [*token.certificates, *extra, *trusted]
        signer = find_signer(token, known)
        check_signature(signer, token)
        check_may_sign_time(signer, moment)
        check_chain(signer, known, trusted, moment)
    except TimestampRefused:
        raise
    except InvalidSignature as error:
        raise TimestampRefused("the signature is not by the certificate it names") from error
    except (ValueError, *_UNREADABLE) as error:
        raise TimestampRefused(str(error)) from error
    return moment


def _token(tsr: bytes) -> Parts:
    """The ContentInfo: after its status in an answer, or what there is."""
    if len(tsr) > MAX_TIMESTAMP_BYTES:
        raise TimestampRefused(f"{len(tsr)} bytes; a timestamp has at most {MAX_TIMESTAMP_BYTES}")
    content = Parts(Parts(tsr, "timestamp").only(SEQUENCE).content, "timestamp")
    status = content.take_if(SEQUENCE)
    if status is None:  # a bare token begins with its type
        return content
    given = integer(Parts(status.content, "status").take(INTEGER))
    if given not in _GRANTED:
        raise TimestampRefused(f"the authority granted no timestamp: {_STATUS.get(given, 'status')} ({given})")
    return Parts(content.only(SEQUENCE).content, "token")


def _read_info(info: bytes, data: bytes) -> datetime:
    """The TSTInfo's moment, once it is known to speak of `data`."""
    fields = Parts(Parts(info, "TSTInfo").only(SEQUENCE).content, "TSTInfo")
    if (version := integer(fields.take(INTEGER))) != 1:
        raise TimestampRefused(f"TSTInfo of version {version}; only 1 is known")
    fields.take(OID)
    imprint = fields.inside(SEQUENCE, "message imprint")
    algorithm = hash_named(imprint.inside(SEQUENCE, "hash algorithm"))
    stated = imprint.only(OCTET_STRING).content
    integer(fields.take(INTEGER))
    moment = _moment(fields.take(GENERALIZED_TIME).content)
    # accuracy, ordering, nonce, name of the authority, extensions: each at most once, in this order
    for tag in (SEQUENCE, BOOLEAN, INTEGER, 0xA0):
        fields.take_if(tag)
    extensions = fields.take_if(0xA1)
    fields.end()
    for extension in Parts(extensions.content, "TSTInfo extensions").rest() if extensions else []:
        parts = Parts(extension.content, "TSTInfo extension")
        name = oid(parts.take(OID))
        if parts.take_if(BOOLEAN):
            raise TimestampRefused(f"a critical extension of the TSTInfo is not understood: {name}")
    if not hmac.compare_digest(stated, digest_of(algorithm, data)):
        raise TimestampRefused("it is a timestamp of other bytes")
    return moment


def _moment(text: bytes) -> datetime:
    found = _GENERALIZED_TIME.fullmatch(text)
    if not found:
        raise TimestampRefused(f"{text[:30]!r} is no genTime; it is written YYYYMMDDhhmmss[.fraction]Z")
    fraction = (found[2] or b"0").decode()[:6].ljust(6, "0")
    try:
        whole = datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise TimestampRefused(f"{text.decode()} is no moment") from error
    return whole.replace(microsecond=int(fraction))
