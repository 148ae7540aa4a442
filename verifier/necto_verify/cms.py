"""Signed data (CMS, RFC 5652) as RFC 3161 allows it: one signer, who signs attributes that name the content.

What the content says stands in `timestamps.py`; whether the signer's certificate is to be trusted, in
`certificates.py`.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from necto_verify.certificates import der_of, issuer_and_serial, key_identifier
from necto_verify.der import INTEGER, OCTET_STRING, OID, SEQUENCE, SET, Element, Parts, encoded, integer, oid

MAX_CERTIFICATES: Final = 32
_SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
_CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE: Final = "1.2.840.113549.1.9.16.2.12"
_SIGNING_CERTIFICATE_V2: Final = "1.2.840.113549.1.9.16.2.47"
_NAMES_CERTIFICATE: Final = (_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2)
_RSA_PSS: Final = "1.2.840.113549.1.1.10"
_MGF1: Final = "1.2.840.113549.1.1.8"
_ED25519: Final = "1.3.101.112"
_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
_RSA: Final[dict[str, hashes.HashAlgorithm]] = {
    "1.2.840.113549.1.1.11": hashes.SHA256(),
    "1.2.840.113549.1.1.12": hashes.SHA384(),
    "1.2.840.113549.1.1.13": hashes.SHA512(),
}
_RSA_PLAIN: Final = "1.2.840.113549.1.1.1"
"""RSA with the hash that the digest algorithm names"""
_ECDSA: Final[dict[str, hashes.HashAlgorithm]] = {
    "1.2.840.10045.4.3.2": hashes.SHA256(),
    "1.2.840.10045.4.3.3": hashes.SHA384(),
    "1.2.840.10045.4.3.4": hashes.SHA512(),
}


class SignatureRefused(ValueError):
    """Signed data that is not whole, or of a kind that is not read; the message says why."""


@dataclass(frozen=True)
class Signed:
    """What signed data holds, as it stood; nothing of it is proved yet."""

    content: bytes
    certificates: list[x509.Certificate]
    signer: Element
    """the signer's name: issuer and serial number, or key identifier"""
    attributes: Mapping[str, Element]
    """the signed attributes by type, each with its one value"""
    message: bytes
    """what was signed: those attributes in the order of DER"""
    digest: hashes.HashAlgorithm
    algorithm: str
    parameters: list[Element]
    signature: bytes


def read_signed(info: Parts, content_type: str) -> Signed:
    """Read a ContentInfo of signed data with content of this type. Raises SignatureRefused or NotDer."""
    if (kind := oid(info.take(OID))) != _SIGNED_DATA:
        raise SignatureRefused(f"not signed data, but {kind}")
    signed = Parts(info.only(0xA0).content, "token").inside(SEQUENCE, "signed data")
    signed.take(INTEGER)
    signed.take(SET)
    body = signed.inside(SEQUENCE, "signed content")
    if (kind := oid(body.take(OID))) != content_type:
        raise SignatureRefused(f"what is signed is {kind}; {content_type} was expected")
    content = Parts(body.only(0xA0).content, "signed content").only(OCTET_STRING).content
    certificates = signed.take_if(0xA0)
    signed.take_if(0xA1)  # revocation lists
    signer = Parts(Parts(signed.only(SET).content, "signers").only(SEQUENCE).content, "signer")
    signer.take(INTEGER)
    name = signer.take_if(0x80) or signer.take(SEQUENCE)
    digest = hash_named(signer.inside(SEQUENCE, "digest algorithm"))
    attributes = Parts(signer.take(0xA0).content, "signed attributes").rest()
    algorithm = signer.inside(SEQUENCE, "signature algorithm")
    algorithm_oid = oid(algorithm.take(OID))
    signature = signer.take(OCTET_STRING).content
    signer.take_if(0xA1)  # attributes nobody signed
    signer.end()
    return Signed(
        content=content,
        certificates=_certificates(certificates) if certificates else [],
        signer=name,
        attributes=_by_type(attributes),
        message=encoded(SET, b"".join(sorted(element.whole for element in attributes))),
        digest=digest,
        algorithm=algorithm_oid,
        parameters=algorithm.rest(),
        signature=signature,
    )


def check_attributes(signed: Signed, content_type: str) -> None:
    """Raise SignatureRefused unless the signed attributes name the content: its type and its digest."""
    if _CONTENT_TYPE not in signed.attributes or _MESSAGE_DIGEST not in signed.attributes:
        raise SignatureRefused("the signed attributes do not name what is signed")
    if oid(_of_tag(signed.attributes[_CONTENT_TYPE], OID)) != content_type:
        raise SignatureRefused(f"the signed attributes speak of other content than {content_type}")
    stated = _of_tag(signed.attributes[_MESSAGE_DIGEST], OCTET_STRING).content
    if not hmac.compare_digest(stated, digest_of(signed.digest, signed.content)):
        raise SignatureRefused("the content is not the one that was signed")


def find_signer(signed: Signed, known: Sequence[x509.Certificate]) -> x509.Certificate:
    """The certificate that the signed attributes name by its hash, and the signer's entry by its issuer or key."""
    attributes = signed.attributes
    named = [_named_certificate(attributes[kind], kind) for kind in _NAMES_CERTIFICATE if kind in attributes]
    if not named:
        raise SignatureRefused("the signed attributes name no certificate")
    for certificate in known:
        if all(names(certificate) for names in named):
            if not _is_named(certificate, signed.signer):
                raise SignatureRefused("the signed attributes and the signer's entry name different certificates")
            return certificate
    raise SignatureRefused("the certificate that the signed attributes name is not here")


def check_signature(certificate: x509.Certificate, signed: Signed) -> None:
    """Raise InvalidSignature, or SignatureRefused for an algorithm that is not read here."""
    key, algorithm = certificate.public_key(), signed.algorithm
    if isinstance(key, rsa.RSAPublicKey) and algorithm in {*_RSA, _RSA_PLAIN}:
        key.verify(signed.signature, signed.message, padding.PKCS1v15(), _RSA.get(algorithm, signed.digest))
    elif isinstance(key, rsa.RSAPublicKey) and algorithm == _RSA_PSS:
        digest, salt_length = _pss(signed.parameters)
        key.verify(signed.signature, signed.message, padding.PSS(padding.MGF1(digest), salt_length), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm in _ECDSA:
        key.verify(signed.signature, signed.message, ec.ECDSA(_ECDSA[algorithm]))
    elif isinstance(key, ed25519.Ed25519PublicKey) and algorithm == _ED25519:
        key.verify(signed.signature, signed.message)
    else:
        raise SignatureRefused(f"signature algorithm {algorithm} with a {type(key).__name__} is not read")


def hash_named(algorithm: Parts) -> hashes.HashAlgorithm:
    """The hash that an AlgorithmIdentifier names: SHA-256, SHA-384 or SHA-512."""
    name = oid(algorithm.take(OID))
    if name not in _HASHES:
        raise SignatureRefused(f"hash algorithm {name} in the {algorithm.what}; SHA-256, SHA-384 and SHA-512 are read")
    return _HASHES[name]


def digest_of(algorithm: hashes.HashAlgorithm, data: bytes) -> bytes:
    """The digest of `data`."""
    return hashlib.new(algorithm.name, data, usedforsecurity=False).digest()


def _named_certificate(value: Element, kind: str) -> Callable[[x509.Certificate], bool]:
    """Whether a certificate is the first that ESSCertID (RFC 2634, SHA-1) or ESSCertIDv2 (RFC 5035) names."""
    signing = Parts(_of_tag(value, SEQUENCE).content, "signing certificate")
    first = Parts(signing.take(SEQUENCE).content, "signing certificate").inside(SEQUENCE, "signing certificate")
    algorithm: hashes.HashAlgorithm = hashes.SHA1()  # noqa: S303  # names one certificate of a chain that is checked
    if kind == _SIGNING_CERTIFICATE_V2:
        given = first.take_if(SEQUENCE)
        algorithm = hash_named(Parts(given.content, "signing certificate")) if given else hashes.SHA256()
    stated = first.take(OCTET_STRING).content
    issuer_serial = first.take_if(SEQUENCE)
    first.end()

    def names(certificate: x509.Certificate) -> bool:
        if not hmac.compare_digest(stated, digest_of(algorithm, der_of(certificate))):
            return False
        if issuer_serial is None:
            return True
        parts = Parts(issuer_serial.content, "issuer and serial number")
        issuer = Parts(parts.take(SEQUENCE).content, "issuer").only(0xA4).content  # GeneralName: directoryName
        return (issuer, integer(parts.only(INTEGER))) == issuer_and_serial(certificate)

    return names


def _is_named(certificate: x509.Certificate, name: Element) -> bool:
    if name.tag == 0x80:
        return name.content == key_identifier(certificate)
    parts = Parts(name.content, "signer")
    return (parts.take(SEQUENCE).whole, integer(parts.only(INTEGER))) == issuer_and_serial(certificate)


def _pss(parameters: Sequence[Element]) -> tuple[hashes.HashAlgorithm, int]:
    """Hash and salt length of RSASSA-PSS (RFC 4055): MGF1 with the same hash, and the one trailer there is."""
    if len(parameters) != 1:
        raise SignatureRefused("RSA-PSS without its parameters")
    fields = Parts(_of_tag(parameters[0], SEQUENCE).content, "RSA-PSS")
    digest = hash_named(fields.inside(0xA0, "RSA-PSS").inside(SEQUENCE, "RSA-PSS"))
    mask = fields.inside(0xA1, "RSA-PSS").inside(SEQUENCE, "RSA-PSS")
    if oid(mask.take(OID)) != _MGF1 or hash_named(mask.inside(SEQUENCE, "RSA-PSS")).name != digest.name:
        raise SignatureRefused("RSA-PSS is read with MGF1 over the same hash only")
    salt_length = integer(Parts(fields.take(0xA2).content, "RSA-PSS").only(INTEGER))
    fields.end()
    return digest, salt_length


def _by_type(elements: Sequence[Element]) -> dict[str, Element]:
    attributes: dict[str, Element] = {}
    for element in elements:
        parts = Parts(element.whole, "signed attribute").inside(SEQUENCE, "signed attribute")
        kind = oid(parts.take(OID))
        values = Parts(parts.only(SET).content, "signed attribute").rest()
        if kind in attributes or len(values) != 1:
            raise SignatureRefused(f"the signed attribute {kind} does not stand once with one value")
        attributes[kind] = values[0]
    return attributes


def _certificates(bag: Element) -> list[x509.Certificate]:
    """The X.509 certificates that can be read; anything else proves nothing, so it is left out."""
    elements = Parts(bag.content, "certificates").rest()
    if len(elements) > MAX_CERTIFICATES:
        raise SignatureRefused(f"{len(elements)} certificates; at most {MAX_CERTIFICATES} are read")
    certificates = []
    for element in elements:
        with suppress(ValueError, x509.InvalidVersion):
            certificates.append(x509.load_der_x509_certificate(element.whole))
    return certificates


def _of_tag(element: Element, tag: int) -> Element:
    return Parts(element.whole, "value").only(tag)
