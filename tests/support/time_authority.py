"""A time-stamping authority of our own (RFC 3161): a root, a certificate for time stamps, and an HTTP server.

Everything is made on the fly. What a test wants to be wrong is given as an argument: `issue` for certificates, `token`
for what is signed.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from necto_verify.der import BOOLEAN, INTEGER, OID, SEQUENCE, Parts
from necto_verify.der import integer as read_integer
from support.der_writer import generalized_time, integer, octets, oid, seq, set_of, tlv

NOON: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SHA256: Final = "2.16.840.1.101.3.4.2.1"
SHA384: Final = "2.16.840.1.101.3.4.2.2"
SHA512: Final = "2.16.840.1.101.3.4.2.3"
SHA1: Final = "1.3.14.3.2.26"
TST_INFO: Final = "1.2.840.113549.1.9.16.1.4"
SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"
_NULL: Final = tlv(0x05)
_PSS_SHA256: Final = seq(
    tlv(0xA0, seq(oid(SHA256), _NULL)),
    tlv(0xA1, seq(oid("1.2.840.113549.1.1.8"), seq(oid(SHA256), _NULL))),
    tlv(0xA2, integer(32)),
)
_ALGORITHMS: Final = {
    "ec": seq(oid("1.2.840.10045.4.3.2")),
    "rsa": seq(oid("1.2.840.113549.1.1.11"), _NULL),
    "rsa-short": seq(oid("1.2.840.113549.1.1.11"), _NULL),
    "rsa-plain": seq(oid("1.2.840.113549.1.1.1"), _NULL),
    "rsa-pss": seq(oid("1.2.840.113549.1.1.10"), _PSS_SHA256),
    "ed25519": seq(oid("1.3.101.112")),
}
_FROM, _UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@cache
def key_of(kind: str, number: int) -> Key:
    """A key of a kind; the same one whenever it is asked for by this number."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, 1024 if kind == "rsa-short" else 2048)
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key
    kind: str = "ec"

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    kind: str = "ec",
    key_number: int = 0,
    authority: bool = False,
    path_length: int | None = None,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    purposes_critical: bool = True,
    usage: Mapping[str, bool] | None = None,
    valid: tuple[datetime, datetime] = (_FROM, _UNTIL),
    further: x509.ExtensionType | None = None,
    number: int | None = None,
) -> Issued:
    """A certificate, signed by itself without `issuer`."""
    key = key_of(kind, key_number)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject if issuer else subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=number or x509.random_serial_number(),
        not_valid_before=valid[0],
        not_valid_after=valid[1],
    )
    builder = builder.add_extension(x509.BasicConstraints(authority, path_length if authority else None), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=purposes_critical)
    if usage is not None:
        builder = builder.add_extension(x509.KeyUsage(**_usage(usage)), critical=True)
    if further is not None:
        builder = builder.add_extension(further, critical=True)
    signing = issuer.key if issuer else key
    algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signing, algorithm), key, kind)


def issue_for_time(issuer: Issued, **wishes: Any) -> Issued:
    """A certificate as RFC 3161 wants it, but for `wishes`."""
    standard: dict[str, Any] = {
        "purposes": [ExtendedKeyUsageOID.TIME_STAMPING],
        "usage": {"digital_signature": True},
        "key_number": 1,
    }
    return issue(**{"name": "Test time stamps", "issuer": issuer} | standard | wishes)


def tst_info(data: bytes, at: datetime = NOON, *, nonce: int | None = None, **wishes: Any) -> bytes:
    """A TSTInfo; `wishes` replace its parts: version, imprint, time, further."""
    imprint = wishes.get("imprint") or seq(seq(oid(SHA256), _NULL), octets(hashlib.sha256(data).digest()))
    return seq(
        integer(wishes.get("version", 1)),
        oid("1.3.6.1.4.1.99999.1"),
        imprint,
        integer(7),
        wishes.get("time") or generalized_time(at),
        seq(integer(1)),
        integer(nonce) if nonce is not None else b"",
        wishes.get("further", b""),
    )


def token(info: bytes, signer: Issued, certificates: Sequence[bytes] | None = None, **wishes: Any) -> bytes:
    """A TimeStampToken over `info`. `wishes` replace: named (whose certificate the attributes and entry name),
    content_type, digest (of info), attributes, signer_id, signing_certificate (kind) and its issuer, signers (count),
    signed_type."""
    named: Issued = wishes.get("named", signer)
    attributes = wishes.get("attributes") or [
        _attribute(CONTENT_TYPE, oid(wishes.get("content_type", TST_INFO))),
        _attribute(MESSAGE_DIGEST, octets(wishes.get("digest") or _digest_for(signer, info))),
        _named(
            named,
            wishes.get("signing_certificate", SIGNING_CERTIFICATE_V2),
            wishes.get("signing_certificate_issuer"),
        ),
    ]
    message = set_of(*attributes)
    hash_oid = SHA512 if signer.kind == "ed25519" else SHA256
    entry = seq(
        integer(1),
        wishes.get("signer_id") or _issuer_and_serial(named.certificate),
        seq(oid(hash_oid), _NULL),
        b"\xa0" + message[1:],
        wishes.get("algorithm") or _ALGORITHMS[signer.kind],
        octets(_sign(signer, message)),
    )
    return seq(
        oid(SIGNED_DATA),
        tlv(
            0xA0,
            seq(
                integer(3),
                set_of(seq(oid(hash_oid), _NULL)),
                seq(oid(wishes.get("signed_type", TST_INFO)), tlv(0xA0, octets(info))),
                tlv(0xA0, *sorted([signer.der] if certificates is None else certificates))
                if certificates != []
                else b"",
                tlv(0x31, *([entry] * wishes.get("signers", 1))),
            ),
        ),
    )


def response(token_bytes: bytes, status: int = 0) -> bytes:
    """A TimeStampResp."""
    return seq(seq(integer(status)), token_bytes)


@dataclass
class TimeAuthority:
    """Answers queries with the time of `now`."""

    now: Callable[[], datetime] = lambda: NOON
    root: Issued = field(default_factory=lambda: issue("Test root", authority=True))
    kind: str = "ec"
    queries: list[bytes] = field(default_factory=list)
    rewrite: Callable[[bytes], bytes] = lambda answer: answer
    """what the server makes of its answers; for faults"""

    def __post_init__(self) -> None:
        self.signer = issue_for_time(self.root, kind=self.kind)

    def timestamp(self, data: bytes, at: datetime | None = None) -> bytes:
        """A TimeStampResp over `data`."""
        return response(token(tst_info(data, at or self.now()), self.signer))

    def answer(self, query: bytes) -> bytes:
        """The answer to a TimeStampReq: its imprint and nonce under our time."""
        fields = Parts(Parts(query, "query").only(SEQUENCE).content, "query")
        fields.take(INTEGER)
        imprint = fields.take(SEQUENCE).whole
        fields.take_if(OID)
        nonce = fields.take_if(INTEGER)
        wants_certificate = fields.take_if(BOOLEAN)
        info = tst_info(b"", self.now(), imprint=imprint, nonce=read_integer(nonce) if nonce else None)
        return response(token(info, self.signer, None if wants_certificate else []))

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Answer at the URL that is yielded, from a thread."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["content-length"]))
                authority.queries.append(query)
                asked = self.headers["content-type"] == "application/timestamp-query"
                body = authority.rewrite(authority.answer(query)) if asked else b"not a timestamp query"
                self.send_response(200 if asked else 415)
                self.send_header("content-type", "application/timestamp-reply" if asked else "text/plain")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Tests are quiet."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}/tsr"
            finally:
                server.shutdown()
                thread.join()


def _sign(signer: Issued, message: bytes) -> bytes:
    key = signer.key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(message, ec.ECDSA(hashes.SHA256()))
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return key.sign(message, pss if signer.kind == "rsa-pss" else padding.PKCS1v15(), hashes.SHA256())


def _digest_for(signer: Issued, info: bytes) -> bytes:
    return hashlib.new("sha512" if signer.kind == "ed25519" else "sha256", info).digest()


def _attribute(kind: str, value: bytes) -> bytes:
    return seq(oid(kind), set_of(value))


def _named(issued: Issued, kind: str, issuer: x509.Certificate | None) -> bytes:
    """SigningCertificate (SHA-1) or SigningCertificateV2 (SHA-256, the default), with issuer and serial number."""
    algorithm = "sha1" if kind == SIGNING_CERTIFICATE else "sha256"
    digest = hashlib.new(algorithm, issued.der, usedforsecurity=False).digest()
    name = (issuer.subject if issuer else issued.certificate.issuer).public_bytes()
    issuer_serial = seq(seq(tlv(0xA4, name)), integer(issued.certificate.serial_number))
    return _attribute(kind, seq(seq(seq(octets(digest), issuer_serial))))


def _issuer_and_serial(certificate: x509.Certificate) -> bytes:
    return seq(certificate.issuer.public_bytes(), integer(certificate.serial_number))


def _usage(given: Mapping[str, bool]) -> dict[str, bool]:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign "
        "crl_sign encipher_only decipher_only"
    )
    return {name: given.get(name, False) for name in names.split()}
