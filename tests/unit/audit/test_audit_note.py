"""The PeterNeumann and EnochRoot keys and notes are published with golang.org/x/mod/sumdb/note (note.go and
note_test.go, BSD-3-Clause); the refusals follow C2SP signed-note v1."""

from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from necto_pipelines.audit.note import KeyRefused, NoteRefused, Signer, Verifier, open_note, sign_note

PETER_SECRET = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
PETER_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_VKEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
PETER, ENOCH = Verifier.from_vkey(PETER_VKEY), Verifier.from_vkey(ENOCH_VKEY)
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
NOTE = TEXT + "\n" + PETER_LINE

PRIME = 2**255 - 19
CURVE_D = -121665 * pow(121666, -1, PRIME) % PRIME
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def vkey_of(name: str, key: bytes) -> str:
    data = b"\x01" + key
    key_id = sha256(name.encode() + b"\n" + data).hexdigest()[:8]
    return f"{name}+{key_id}+{b64encode(data).decode()}"


def test_the_published_note_is_signed_to_the_letter():
    signer = Signer.from_private_bytes("PeterNeumann", PETER_SECRET)
    assert signer.vkey == PETER_VKEY
    assert sign_note(TEXT, [signer]) == NOTE


@pytest.mark.parametrize("verifiers", [[PETER], [PETER, ENOCH], [ENOCH, PETER]])
@pytest.mark.parametrize("lines", [PETER_LINE + ENOCH_LINE, ENOCH_LINE + PETER_LINE, PETER_LINE, PETER_LINE * 2])
def test_a_note_opens_when_a_known_key_signed_it(verifiers, lines):
    assert open_note(TEXT + "\n" + lines, verifiers) == TEXT


@pytest.mark.parametrize("key", [PETER, ENOCH])
def test_a_key_reads_back_from_its_text(key):
    assert Verifier.from_vkey(key.vkey) == key


@pytest.mark.parametrize(
    ("note", "why"),
    [
        (TEXT, "no signatures"),
        (TEXT + "\n", "no signatures"),
        (NOTE[:-1], "end in a newline"),
        ("", "end in a newline"),
        ("\x01" + NOTE, "control character"),
        (NOTE.replace("think", "th\tink"), "control character"),
        (NOTE.replace("\n", "\r\n"), "control character"),
        (NOTE.replace("problem,\n", "problem,\x00\n"), "control character"),
        ("\udcff" + NOTE, "UTF-8"),
        (NOTE + "Unexpected line.\n", "signature line"),
        (NOTE.replace("— PeterNeumann", "- PeterNeumann"), "signature line"),
        (NOTE.replace("— PeterNeumann", "—PeterNeumann"), "signature line"),
        (NOTE.replace("— PeterNeumann", "— Peter Neumann"), "signature line"),
        (NOTE.replace("— PeterNeumann", "— Peter+Neumann"), "signature line"),
        (NOTE.replace("— PeterNeumann", "— Peter\u00a0Neumann"), "signature line"),
        (NOTE.replace("— PeterNeumann", "— "), "signature line"),
        (TEXT + "\n— PeterNeumann x08gow==\n", "signature line"),
        (NOTE.replace("JnAM=\n", "JnAN=\n"), "base64"),
        (NOTE.replace("JnAM=\n", "JnAM\n"), "base64"),
        (NOTE.replace("JnAM=\n", "JnAM= \n"), "base64"),
        (NOTE.replace("x08go/", "x08go_"), "base64"),
        (NOTE.replace("answer", "Answer"), "does not hold"),
        (NOTE.replace("ZJku", "ZJkU"), "does not hold"),
        (TEXT + "\n" + PETER_LINE[:60] + "ABCD" + PETER_LINE[60:], "does not hold"),
        (TEXT + "\n" + PETER_LINE + PETER_LINE.replace("ZJku", "ZJkU"), "does not hold"),
        (TEXT + "\n" + ENOCH_LINE, "not signed by a known key"),
        (NOTE.replace("— PeterNeumann", "— PeterNewmann"), "not signed by a known key"),
        (NOTE.replace("x08go/", "y08go/"), "not signed by a known key"),
        (NOTE.replace("problem is.\n", "problem is."), "no signatures"),
        (TEXT + "\n" + PETER_LINE * 101, "at most 100"),
    ],
)
def test_a_note_that_is_malformed_or_not_signed_is_refused(note, why):
    with pytest.raises(NoteRefused, match=why):
        open_note(note, [PETER])


def test_a_failing_known_signature_refuses_the_note_though_another_one_holds():
    bad = ENOCH_LINE.replace("zmZa0SO3", "zmZa0SO4")
    assert bad != ENOCH_LINE
    assert open_note(TEXT + "\n" + PETER_LINE + bad, [PETER]) == TEXT
    with pytest.raises(NoteRefused, match="EnochRoot"):
        open_note(TEXT + "\n" + PETER_LINE + bad, [PETER, ENOCH])


@pytest.mark.parametrize("others", [0, 15, 99])
def test_sixteen_signatures_and_more_are_read(others):
    signers = [Signer.from_private_bytes(f"witness{number}", bytes([number]) * 32) for number in range(others)]
    lines = sign_note(TEXT, signers).removeprefix(TEXT + "\n") if signers else ""
    assert open_note(TEXT + "\n" + lines + PETER_LINE, [PETER]) == TEXT


def test_a_longer_signature_of_an_unknown_kind_is_passed_over():
    unknown = "— witness " + b64encode(b"\x01\x02\x03\x04" + bytes(2_420)).decode() + "\n"
    assert open_note(TEXT + "\n" + unknown + PETER_LINE, [PETER]) == TEXT


def test_text_with_blank_lines_is_parted_at_the_last_one():
    signer = Signer.from_private_bytes("PeterNeumann", PETER_SECRET)
    text = "one\n\ntwo\n\n— three\n"
    assert open_note(sign_note(text, [signer]), [PETER]) == text


def test_a_note_without_trusted_keys_is_never_opened():
    with pytest.raises(NoteRefused, match="known is nobody"):
        open_note(NOTE, [])


def test_two_keys_of_one_identity_are_refused():
    with pytest.raises(KeyRefused, match="two keys"):
        open_note(NOTE, [PETER, Verifier.from_vkey(PETER_VKEY)])


@pytest.mark.parametrize("text", ["abc", "", "a\tb\n", "a\r\n", "half \ud800\n"])
def test_text_that_cannot_stand_in_a_note_is_not_signed(text):
    with pytest.raises(NoteRefused):
        sign_note(text, [Signer.from_private_bytes("PeterNeumann", PETER_SECRET)])


def test_nobody_signs_nothing():
    with pytest.raises(NoteRefused, match="at least one signer"):
        sign_note(TEXT, [])


def test_every_cut_and_every_changed_character_of_a_key_is_refused():
    for start in range(len(PETER_VKEY) + 1):
        for stop in range(start, len(PETER_VKEY) + 1):
            if (start, stop) != (0, len(PETER_VKEY)):
                with pytest.raises(KeyRefused):
                    Verifier.from_vkey(PETER_VKEY[start:stop])
    for place, character in enumerate(PETER_VKEY):
        with pytest.raises(KeyRefused):
            Verifier.from_vkey(PETER_VKEY[:place] + chr(ord(character) + 1) + PETER_VKEY[place + 1 :])


@pytest.mark.parametrize(
    "vkey",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER_VKEY.replace("c74f20a3", "C74F20A3"),
        PETER_VKEY.replace("c74f20a3", "0c74f20a3"),
        PETER_VKEY + "\n",
        vkey_of("Peter Neumann", PETER.public_key),
        vkey_of("", PETER.public_key),
        vkey_of("Peter\nNeumann", PETER.public_key),
        vkey_of("PeterNeumann", PETER.public_key + b"\x00"),
    ],
)
def test_a_key_of_another_form_is_refused(vkey):
    with pytest.raises(KeyRefused):
        Verifier.from_vkey(vkey)


def added(one, two):
    """Edwards addition on edwards25519 (RFC 8032 section 5.1.4), written out for this test alone."""
    (x1, y1), (x2, y2) = one, two
    t = CURVE_D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + t, -1, PRIME) % PRIME
    y = (y1 * y2 + x1 * x2) * pow(1 - t, -1, PRIME) % PRIME
    return x, y


def times(factor, point):
    total = (0, 1)
    while factor:
        if factor & 1:
            total = added(total, point)
        point, factor = added(point, point), factor >> 1
    return total


def on_curve(y):
    """A point with this y, or None."""
    squared = (y * y - 1) * pow(CURVE_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(squared, (PRIME + 3) // 8, PRIME)
    for candidate in (x, x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME):
        if candidate * candidate % PRIME == squared:
            return candidate, y
    return None


def low_order_keys():
    """Every encoding of the eight points of order 1, 2, 4 and 8, those with y >= p and a spurious sign included."""
    torsion = {times(GROUP_ORDER, point) for y in range(2, 60) if (point := on_curve(y))}
    assert len(torsion) == 8
    for y in {y for _, y in torsion}:
        for spelling in (y, y + PRIME):
            if spelling < 2**255:
                for sign in (0, 1 << 255):
                    yield (spelling | sign).to_bytes(32, "little")


@pytest.mark.parametrize("key", sorted(set(low_order_keys())), ids=bytes.hex)
def test_a_key_of_low_order_is_refused(key):
    with pytest.raises(KeyRefused, match="public key: not allowed"):
        Verifier.from_vkey(vkey_of("PeterNeumann", key))


@pytest.mark.parametrize("y", [PRIME + 3, 2**255 - 1])
def test_a_key_spelled_past_the_field_is_refused(y):
    with pytest.raises(KeyRefused, match="one spelling"):
        Verifier("PeterNeumann", y.to_bytes(32, "little"))


@pytest.mark.parametrize("name", ["", "two words", "a+b", "a\tb", "a\x00b", "a\u2003b"])
def test_a_signer_needs_a_name_without_spaces(name):
    with pytest.raises(KeyRefused, match="key name"):
        Signer.generate(name)


def test_a_generated_key_is_kept_by_its_private_bytes_and_shown_nowhere():
    signer = Signer.generate("necto.example/log")
    again = Signer.from_private_bytes("necto.example/log", signer.private_bytes())
    assert again.vkey == signer.vkey
    assert open_note(sign_note(TEXT, [again]), [signer.verifier]) == TEXT
    assert signer.private_bytes().hex() not in repr(signer)
    assert repr(signer) == f"Signer({signer.vkey!r})"
    assert Signer.generate("necto.example/log").vkey != signer.vkey


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_private_key_of_another_length_is_refused(length):
    with pytest.raises(KeyRefused, match="exactly 32"):
        Signer.from_private_bytes("necto", bytes(length))


@given(st.data())
def test_any_changed_character_closes_a_note(data):
    place = data.draw(st.integers(0, len(NOTE) - 1))
    character = data.draw(st.characters(exclude_categories=["Cs"]).filter(lambda one: one != NOTE[place]))
    with pytest.raises(NoteRefused):
        open_note(NOTE[:place] + character + NOTE[place + 1 :], [PETER])
