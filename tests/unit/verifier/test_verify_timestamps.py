"""RFC 3161 timestamps as the stand-alone verifier reads them: made by OpenSSL, by our own authority, and damaged."""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from necto_verify.timestamps import MAX_TIMESTAMP_BYTES, TimestampRefused, verify_timestamp
from support import time_authority as ta
from support.der_writer import integer, octets, oid, seq, tlv
from support.time_authority import NOON, Issued, issue, issue_for_time, response, token, tst_info

DATA = b"necto.test/audit\n42\nroot\n"
ROOT = issue("Test root", authority=True)
SIGNER = issue_for_time(ROOT)
GENUINE = response(token(tst_info(DATA), SIGNER))
LATER = datetime(2031, 1, 1, tzinfo=UTC)
LONGER = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed: no second opinion"
)


def verified(tsr: bytes, trusted: Issued = ROOT, extra: bytes = b"") -> datetime:
    return verify_timestamp(tsr, DATA, trusted.pem, extra)


def signed(signer: Issued = SIGNER, info: bytes | None = None, **wishes: Any) -> bytes:
    return response(token(info or tst_info(DATA), signer, **wishes))


def imprint(algorithm: str, name: str) -> bytes:
    return seq(seq(oid(algorithm)), octets(hashlib.new(name, DATA, usedforsecurity=False).digest()))


class TestAccepts:
    @pytest.mark.parametrize("kind", ["ec", "rsa", "rsa-plain", "rsa-pss", "ed25519"])
    def test_every_kind_of_key(self, kind: str) -> None:
        assert verified(signed(issue_for_time(ROOT, kind=kind))) == NOON

    @pytest.mark.parametrize(
        "tsr",
        [
            pytest.param(token(tst_info(DATA), SIGNER), id="a bare token"),
            pytest.param(response(token(tst_info(DATA), SIGNER), status=1), id="granted with modifications"),
            pytest.param(signed(info=tst_info(DATA, imprint=imprint(ta.SHA384, "sha384"))), id="SHA-384"),
            pytest.param(signed(info=tst_info(DATA, imprint=imprint(ta.SHA512, "sha512"))), id="SHA-512"),
            pytest.param(signed(info=tst_info(DATA, nonce=2**127)), id="a nonce"),
            pytest.param(signed(signing_certificate=ta.SIGNING_CERTIFICATE), id="the certificate named by SHA-1"),
            pytest.param(
                signed(signer_id=tlv(0x80, x509.SubjectKeyIdentifier.from_public_key(SIGNER.key.public_key()).digest)),
                id="the signer named by its key",
            ),
            pytest.param(signed(certificates=[SIGNER.der, ROOT.der, tlv(0x30)]), id="with the root and a broken one"),
        ],
    )
    def test_every_form_the_standard_allows(self, tsr: bytes) -> None:
        assert verified(tsr) == NOON

    @pytest.mark.parametrize(
        ("text", "microseconds"),
        [(b"20261122120000Z", 0), (b"20261122120000.5Z", 500_000), (b"20261122120000.1234567Z", 123_456)],
    )
    def test_fractions_of_a_second(self, text: bytes, microseconds: int) -> None:
        assert verified(signed(info=tst_info(DATA, time=tlv(0x18, text)))) == NOON.replace(microsecond=microseconds)

    def test_certificates_that_come_apart_from_the_token(self) -> None:
        middle = issue("Middle", ROOT, authority=True, key_number=2, usage={"key_cert_sign": True})
        signer = issue_for_time(middle)
        tsr = signed(signer, certificates=[])
        assert verified(tsr, extra=signer.pem + middle.pem) == NOON
        with pytest.raises(TimestampRefused, match="not here"):
            verified(tsr, extra=middle.pem)
        with pytest.raises(TimestampRefused, match="no trusted root; nobody here issued"):
            verified(tsr, extra=signer.pem)

    def test_a_signer_that_is_trusted_itself(self) -> None:
        assert verified(GENUINE, trusted=SIGNER) == NOON

    def test_a_certificate_that_has_expired_since(self) -> None:
        assert (
            verified(signed(issue_for_time(ROOT, valid=(NOON - timedelta(days=1), NOON + timedelta(seconds=1)))))
            == NOON
        )


def _other_names() -> bytes:
    """A certificate of the same names, number and key usage, under another key: who could have swapped it in."""
    return signed(
        issue_for_time(ROOT, key_number=5), named=SIGNER, certificates=[issue_for_time(ROOT, key_number=5).der]
    )


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a rejection": (lambda: seq(seq(integer(2))), "granted no timestamp: rejection"),
    "a wait": (lambda: seq(seq(integer(3))), "waiting"),
    "granted, but without a token": (lambda: seq(seq(integer(0))), "the end found"),
    "nothing": (lambda: b"", "the end found"),
    "something else": (lambda: b"<!DOCTYPE html>", "timestamp: "),
    "a number": (lambda: integer(0), "tag 0x30 was expected"),
    "more behind it": (lambda: GENUINE + b"\x00\x00", "1 elements too many"),
    "too many bytes": (lambda: bytes(MAX_TIMESTAMP_BYTES + 1), "has at most"),
    "endless nesting": (lambda: b"\x30\x80" * 50_000, "not DER"),
    "another signed content": (lambda: signed(signed_type="1.2.840.113549.1.7.1"), "was expected"),
    "attributes of other content": (lambda: signed(content_type="1.2.840.113549.1.7.1"), "speak of other content"),
    "no signer": (lambda: signed(signers=0), "signers: tag 0x30 was expected"),
    "two signers": (lambda: signed(signers=2), "1 elements too many"),
    "TSTInfo of version 2": (lambda: signed(info=tst_info(DATA, version=2)), "version 2"),
    "SHA-1 of the data": (
        lambda: signed(info=tst_info(DATA, imprint=imprint(ta.SHA1, "sha1"))),
        f"hash algorithm {ta.SHA1}",
    ),
    "a local time": (lambda: signed(info=tst_info(DATA, time=tlv(0x18, b"20261122120000+0100"))), "is no genTime"),
    "no such day": (lambda: signed(info=tst_info(DATA, time=tlv(0x18, b"20260230120000Z"))), "is no moment"),
    "a critical extension of the TSTInfo": (
        lambda: signed(info=tst_info(DATA, further=tlv(0xA1, seq(oid("1.2.3"), tlv(1, b"\xff"), octets(b""))))),
        "critical extension of the TSTInfo",
    ),
    "unknown fields of the TSTInfo": (lambda: signed(info=tst_info(DATA, further=octets(b""))), "too many"),
    "other bytes": (lambda: signed(info=tst_info(b"other bytes")), "other bytes"),
    "a time put in after signing": (
        lambda: GENUINE.replace(b"20261122120000Z", b"20261121120000Z"),
        "not the one that was signed",
    ),
    "a digest of another TSTInfo": (lambda: signed(digest=bytes(32)), "not the one that was signed"),
    "no signed attributes": (lambda: signed(attributes=[seq(oid("1.2.3"), tlv(0x31, integer(1)))]), "do not name"),
    "an attribute twice": (
        lambda: signed(attributes=[seq(oid("1.2.3"), tlv(0x31, integer(1))), seq(oid("1.2.3"), tlv(0x31, integer(2)))]),
        "does not stand once",
    ),
    "no certificate named": (
        lambda: signed(
            attributes=[
                seq(oid(ta.CONTENT_TYPE), tlv(0x31, oid(ta.TST_INFO))),
                seq(oid(ta.MESSAGE_DIGEST), tlv(0x31, octets(hashlib.sha256(tst_info(DATA)).digest()))),
            ]
        ),
        "name no certificate",
    ),
    "a swapped certificate": (_other_names, "attributes name is not here"),
    "a certificate issued anew under its number": (
        lambda: signed(
            named=issue_for_time(ROOT, number=99), certificates=[issue_for_time(ROOT, number=99, valid=LONGER).der]
        ),
        "attributes name is not here",
    ),
    "a signature by another key": (
        lambda: signed(issue_for_time(ROOT, key_number=5), named=SIGNER, certificates=[SIGNER.der]),
        "signature is not by the certificate",
    ),
    "another issuer beside the certificate's hash": (
        lambda: signed(signing_certificate_issuer=issue("Other root").certificate),
        "attributes name is not here",
    ),
    "attributes and entry that differ": (
        lambda: signed(signer_id=seq(SIGNER.certificate.issuer.public_bytes(), integer(1))),
        "different certificates",
    ),
    "an algorithm of another key": (lambda: signed(algorithm=seq(oid("1.3.101.112"))), "is not read"),
    "an expired certificate": (
        lambda: signed(issue_for_time(ROOT, valid=(NOON - timedelta(days=9), NOON - timedelta(seconds=1)))),
        "not at 2026-11-22 12:00:00",
    ),
    "a certificate of the future": (
        lambda: signed(issue_for_time(ROOT, valid=(NOON + timedelta(seconds=1), LATER))),
        "not at 2026-11-22 12:00:00",
    ),
    "no extended key usage": (lambda: signed(issue_for_time(ROOT, purposes=[])), "not for time stamps"),
    "another extended key usage": (
        lambda: signed(issue_for_time(ROOT, purposes=[ExtendedKeyUsageOID.CODE_SIGNING])),
        "not for time stamps",
    ),
    "one extended key usage too many": (
        lambda: signed(
            issue_for_time(ROOT, purposes=[ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING])
        ),
        "not for time stamps",
    ),
    "an extended key usage that is not critical": (
        lambda: signed(issue_for_time(ROOT, purposes_critical=False)),
        "not for time stamps",
    ),
    "a key that may not sign": (
        lambda: signed(issue_for_time(ROOT, usage={"key_agreement": True})),
        "key usage does not allow signatures",
    ),
    "a short key": (lambda: signed(issue_for_time(ROOT, kind="rsa-short")), "1024 bits"),
    "a critical extension of the certificate": (
        lambda: signed(issue_for_time(ROOT, further=x509.NameConstraints([x509.DNSName("example.org")], None))),
        "critical extensions not understood: 2.5.29.30",
    ),
}


@pytest.mark.parametrize(("tsr", "reason"), REFUSED.values(), ids=REFUSED)
def test_refuses(tsr: Callable[[], bytes], reason: str) -> None:
    with pytest.raises(TimestampRefused, match=reason):
        verified(tsr())


AUTHORITIES: dict[str, tuple[dict[str, Any], str]] = {
    "that is none": ({"authority": False}, "not a certificate authority"),
    "that may not issue": ({"usage": {"digital_signature": True}}, "does not allow issuing"),
    "that had expired": ({"valid": (NOON - timedelta(days=9), NOON - timedelta(days=1))}, "not at 2026-11-22"),
    "for other purposes": ({"purposes": [ExtendedKeyUsageOID.SERVER_AUTH]}, "does not allow time stamping below"),
    "of a short key": ({"kind": "rsa-short"}, "1024 bits"),
}


@pytest.mark.parametrize(("wishes", "reason"), AUTHORITIES.values(), ids=AUTHORITIES)
def test_refuses_an_authority_in_between(wishes: dict[str, Any], reason: str) -> None:
    middle = issue(**{"name": "Middle", "issuer": ROOT, "authority": True, "key_number": 2} | wishes)
    signer = issue_for_time(middle)
    with pytest.raises(TimestampRefused, match=reason):
        verified(signed(signer, certificates=[signer.der, middle.der]))


def test_refuses_more_authorities_than_the_root_allows() -> None:
    root = issue("Short root", authority=True, path_length=0)
    middle = issue("Middle", root, authority=True, key_number=2)
    signer = issue_for_time(middle)
    with pytest.raises(TimestampRefused, match="more certificates below it"):
        verified(signed(signer, certificates=[signer.der, middle.der]), trusted=root)


def test_refuses_another_root_of_the_same_name() -> None:
    with pytest.raises(TimestampRefused, match="did not sign"):
        verified(GENUINE, trusted=issue("Test root", authority=True, key_number=9))


def test_refuses_a_root_that_only_the_token_brings() -> None:
    other = issue("Other root", authority=True, key_number=9)
    signer = issue_for_time(other)
    with pytest.raises(TimestampRefused, match="no trusted root"):
        verified(signed(signer, certificates=[signer.der, other.der]))


def test_certificates_that_issued_one_another_come_to_an_end() -> None:
    names = [issue(f"Ring {n}", authority=True, key_number=20 + n) for n in range(3)]
    ring = [issue(f"Ring {n}", names[(n + 1) % 3], authority=True, key_number=20 + n) for n in range(3)]
    signer = issue_for_time(ring[0])
    with pytest.raises(TimestampRefused, match="no trusted root"):
        verified(signed(signer, certificates=[signer.der, *(one.der for one in ring)]))


@pytest.mark.parametrize("pem", [b"", b"no certificate", ROOT.pem[:200]])
def test_refuses_trusted_certificates_that_are_none(pem: bytes) -> None:
    with pytest.raises(TimestampRefused, match="trusted certificates: no certificates in PEM"):
        verify_timestamp(GENUINE, DATA, pem)


def test_every_truncation_is_refused() -> None:
    for length in range(len(GENUINE)):
        with pytest.raises(TimestampRefused):
            verified(GENUINE[:length])


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@settings(max_examples=500)
@given(st.lists(st.tuples(st.integers(0, len(GENUINE) - 1), st.integers(1, 255)), min_size=1, max_size=3))
def test_damaged_bytes_never_say_anything_else(flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(GENUINE)
    for position, mask in flips:
        damaged[position] ^= mask
    _says_noon_or_is_refused(bytes(damaged))


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_no_single_changed_bit_says_anything_else() -> None:
    for position in range(len(GENUINE)):
        _says_noon_or_is_refused(GENUINE[:position] + bytes([GENUINE[position] ^ 1]) + GENUINE[position + 1 :])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_words(junk: bytes) -> None:
    with pytest.raises(TimestampRefused):
        verified(b"\x30" + bytes([len(junk) % 128]) + junk)


def _says_noon_or_is_refused(tsr: bytes) -> None:
    """Not everything is signed (the status, lists of algorithms): where damage is accepted, nothing else is said."""
    try:
        moment = verified(tsr)
    except TimestampRefused:
        return
    assert moment == NOON


@needs_openssl
class TestOpenssl:
    @pytest.mark.parametrize(("kind", "digest"), [("rsa", "sha256"), ("ec", "sha512")])
    def test_its_tokens_are_accepted_and_altered_ones_are_not(self, tmp_path: Path, kind: str, digest: str) -> None:
        signer = issue_for_time(ROOT, kind=kind, valid=LONGER)
        root = issue("Test root", authority=True, valid=LONGER)
        before = datetime.now(UTC).replace(microsecond=0)
        tsr = made_by_openssl(tmp_path, signer, root, digest)
        assert before <= verify_timestamp(tsr, DATA, root.pem) <= datetime.now(UTC)
        bare = openssl(tmp_path, "ts", "-reply", "-in", "answer.tsr", "-token_out", "-out", "token.der")
        assert bare.returncode == 0, bare.stderr
        assert before <= verify_timestamp((tmp_path / "token.der").read_bytes(), DATA, root.pem) <= datetime.now(UTC)
        with pytest.raises(TimestampRefused, match="other bytes"):
            verify_timestamp(tsr, DATA + b" ", root.pem)

    def test_it_agrees_on_what_our_authority_makes(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_bytes(DATA)
        (tmp_path / "root.pem").write_bytes(ROOT.pem)
        for name, tsr, good in [
            ("genuine", GENUINE, True),
            ("altered", GENUINE.replace(b"20261122", b"20261121"), False),
        ]:
            (tmp_path / name).write_bytes(tsr)
            attime = str(int(NOON.timestamp()))
            checked = openssl(
                tmp_path, "ts", "-verify", "-attime", attime, "-data", "data", "-in", name, "-CAfile", "root.pem"
            )
            assert (checked.returncode == 0) is good, checked.stderr


def openssl(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, timeout=30, check=False)


def made_by_openssl(folder: Path, signer: Issued, root: Issued, digest: str) -> bytes:
    key = signer.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files = {"data": DATA, "key.pem": key, "signer.pem": signer.pem, "chain.pem": root.pem, "serial": b"01\n"}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa = here\n[here]\nserial = serial\nsigner_cert = signer.pem\ncerts = chain.pem\n"
        "signer_key = key.pem\nsigner_digest = sha256\ndefault_policy = 1.2.3.4\ndigests = sha256, sha512\n"
        "accuracy = secs:1\nclock_precision_digits = 3\nordering = yes\ntsa_name = yes\n"
    )
    asked = openssl(folder, "ts", "-query", "-data", "data", f"-{digest}", "-cert", "-out", "query.tsq")
    assert asked.returncode == 0, asked.stderr
    answered = openssl(
        folder,
        "ts",
        "-reply",
        "-config",
        "tsa.cnf",
        "-section",
        "here",
        "-queryfile",
        "query.tsq",
        "-out",
        "answer.tsr",
    )
    assert answered.returncode == 0, answered.stderr
    return (folder / "answer.tsr").read_bytes()
