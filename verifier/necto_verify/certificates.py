"""Certificates of time-stamping authorities: may this one sign time, and does it lead to a root that is trusted.

Checked: signatures, names, validity at one moment, CA flags, path lengths, key usages. **Not** checked: revocation
(CRLs, OCSP), and certificate policies. A critical extension that is not understood here, name constraints among them,
refuses the certificate.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from necto_verify.der import INTEGER, SEQUENCE, Element, Parts

MIN_RSA_BITS: Final = 2048
_MAX_PATH: Final = 8
"""certificates from the signer to the root, both counted"""
_UNDERSTOOD: Final = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.CERTIFICATE_POLICIES,
}
_Found = TypeVar("_Found", bound=x509.ExtensionType)


class CertificateRefused(ValueError):
    """A certificate may not sign time, or leads to no trusted root."""


def from_pem(pem: bytes, what: str) -> list[x509.Certificate]:
    """The certificates in a PEM text; CertificateRefused when it has none or one of them cannot be read."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateRefused(f"{what}: no certificates in PEM ({error})") from error


def der_of(certificate: x509.Certificate) -> bytes:
    """The certificate's exact bytes."""
    return certificate.public_bytes(Encoding.DER)


def issuer_and_serial(certificate: x509.Certificate) -> tuple[bytes, int]:
    """What names a certificate in CMS: its issuer's name as encoded, and its serial number."""
    signed = Parts(certificate.tbs_certificate_bytes, "certificate").inside(SEQUENCE, "certificate")
    signed.take_if(0xA0)
    signed.take(INTEGER)
    signed.take(SEQUENCE)
    issuer: Element = signed.take(SEQUENCE)
    return issuer.whole, certificate.serial_number


def key_identifier(certificate: x509.Certificate) -> bytes | None:
    """The subject key identifier, where the certificate has one."""
    found = _extension(certificate, x509.SubjectKeyIdentifier)
    return found.value.digest if found else None


def check_may_sign_time(certificate: x509.Certificate, moment: datetime) -> None:
    """RFC 3161 section 2.3: valid then, its extended key usage critical and only time stamping, its key for signing."""
    _check_standing(certificate, moment)
    usage = _extension(certificate, x509.ExtendedKeyUsage)
    if usage is None or not usage.critical or list(usage.value) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise CertificateRefused(
            f"{_name(certificate)}: not for time stamps; its extended key usage must be critical and only timeStamping"
        )
    key_usage = _extension(certificate, x509.KeyUsage)
    if key_usage and not (key_usage.value.digital_signature or key_usage.value.content_commitment):
        raise CertificateRefused(f"{_name(certificate)}: its key usage does not allow signatures")


def check_chain(
    signer: x509.Certificate,
    others: Sequence[x509.Certificate],
    trusted: Sequence[x509.Certificate],
    moment: datetime,
) -> None:
    """Find a path from `signer` over `others` to one of `trusted`, each certificate valid at `moment`.

    A trusted certificate ends the path, whoever issued it. Raises CertificateRefused with the nearest miss.
    """
    roots = {der_of(root) for root in trusted}
    between = {der_of(other): other for other in others if der_of(other) not in roots}
    problems: list[str] = []
    paths = [[signer]]
    while paths:
        path = paths.pop()
        if der_of(path[-1]) in roots:
            return
        if len(path) < _MAX_PATH:
            for issuer in _issuers(path, [*between.values(), *trusted], moment, problems):
                # Each certificate is walked over once: a crowd of look-alikes cannot multiply the paths.
                between.pop(der_of(issuer), None)
                paths.append([*path, issuer])
    reason = problems[-1] if problems else f"nobody here issued {_name(signer)}"
    raise CertificateRefused(f"{_name(signer)}: leads to no trusted root; {reason}")


def _issuers(
    path: Sequence[x509.Certificate],
    candidates: Iterable[x509.Certificate],
    moment: datetime,
    problems: list[str],
) -> Iterator[x509.Certificate]:
    issued = path[-1]
    for issuer in candidates:
        if issuer.subject != issued.issuer:
            continue
        try:
            _check_may_issue(issuer, below=len(path) - 1, moment=moment)
            issued.verify_directly_issued_by(issuer)
        except InvalidSignature:
            problems.append(f"{_name(issuer)} did not sign {_name(issued)}")
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            problems.append(str(error))
        else:
            yield issuer


def _check_may_issue(certificate: x509.Certificate, *, below: int, moment: datetime) -> None:
    """`below`: how many CA certificates stand between this one and the signer."""
    _check_standing(certificate, moment)
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.value.ca:
        raise CertificateRefused(f"{_name(certificate)}: not a certificate authority")
    if constraints.value.path_length is not None and constraints.value.path_length < below:
        raise CertificateRefused(f"{_name(certificate)}: more certificates below it than it allows")
    usage = _extension(certificate, x509.KeyUsage)
    if usage and not usage.value.key_cert_sign:
        raise CertificateRefused(f"{_name(certificate)}: its key usage does not allow issuing certificates")
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    allowed = {ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if purposes and not allowed & set(purposes.value):
        raise CertificateRefused(f"{_name(certificate)}: its extended key usage does not allow time stamping below it")


def _check_standing(certificate: x509.Certificate, moment: datetime) -> None:
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        raise CertificateRefused(
            f"{_name(certificate)}: valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}, not at {moment:%Y-%m-%d %H:%M:%S} UTC"
        )
    unknown = [e.oid.dotted_string for e in certificate.extensions if e.critical and e.oid not in _UNDERSTOOD]
    if unknown:
        raise CertificateRefused(f"{_name(certificate)}: critical extensions not understood: {', '.join(unknown)}")
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise CertificateRefused(f"{_name(certificate)}: an RSA key of {key.key_size} bits; at least {MIN_RSA_BITS}")


def _extension(certificate: x509.Certificate, kind: type[_Found]) -> x509.Extension[_Found] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return f"certificate {certificate.subject.rfc4514_string()[:100]!r}"
