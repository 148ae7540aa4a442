"""Reading DER: one spelling for each value, nothing beyond its bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from necto_verify.der import INTEGER, MAX_ELEMENTS, OCTET_STRING, OID, SEQUENCE, NotDer, Parts, encoded, integer, oid
from support import der_writer


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x04", "breaks off"),
        (b"\x04\x02a", "breaks off"),
        (b"\x04\x80a\x00\x00", "a length of 0 bytes"),
        (b"\x04\x81\x01a", "shortest form"),
        (b"\x04\x82\x00\x80" + bytes(128), "shortest form"),
        (b"\x04\x82\x01", "breaks off"),
        (b"\x04\x85\x00\x00\x00\x00\x01a", "a length of 5 bytes"),
        (b"\x04\x84\xff\xff\xff\xff", "breaks off"),
        (b"\x1f\x81\x01\x00", "a tag of several bytes"),
        (b"\x05\x00" * (MAX_ELEMENTS + 1), "more than"),
    ],
)
def test_what_is_not_der_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(NotDer, match=f"thing: .*{reason}"):
        Parts(data, "thing")


@pytest.mark.parametrize("content", [b"", b"\x00\x01", b"\xff\x80"])
def test_a_number_has_one_spelling(content: bytes) -> None:
    with pytest.raises(NotDer, match="number"):
        integer(Parts(encoded(INTEGER, content), "thing").only(INTEGER))


@pytest.mark.parametrize("content", [b"", b"\x2a\x80\x01", b"\x2a\x86"])
def test_an_object_identifier_has_one_spelling(content: bytes) -> None:
    with pytest.raises(NotDer, match="object identifier"):
        oid(Parts(encoded(OID, content), "thing").only(OID))


@given(st.integers())
def test_numbers_are_read_as_written(value: int) -> None:
    assert integer(Parts(der_writer.integer(value), "thing").only(INTEGER)) == value


@pytest.mark.parametrize("dotted", ["0.4.0.127", "1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "2.999.3"])
def test_object_identifiers_are_read_as_written(dotted: str) -> None:
    assert oid(Parts(der_writer.oid(dotted), "thing").only(OID)) == dotted


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_elements_are_read_as_written(contents: list[bytes]) -> None:
    whole = der_writer.seq(*map(der_writer.octets, contents))
    parts = Parts(whole, "thing").inside(SEQUENCE, "thing")
    assert [element.content for element in parts.rest()] == contents
    assert encoded(SEQUENCE, b"".join(encoded(OCTET_STRING, content) for content in contents)) == whole


def test_elements_are_taken_in_order_and_to_the_end() -> None:
    parts = Parts(der_writer.integer(1) + der_writer.octets(b"x"), "thing")
    assert parts.take_if(OCTET_STRING) is None
    with pytest.raises(NotDer, match="tag 0x04 was expected and tag 0x02 found"):
        parts.take(OCTET_STRING)
    parts.take(INTEGER)
    with pytest.raises(NotDer, match="thing: 1 elements too many"):
        parts.end()
    parts.take(OCTET_STRING)
    parts.end()
    with pytest.raises(NotDer, match="the end found"):
        parts.take(INTEGER)
