"""Writing DER (X.690) for tests: the values that timestamps are made of."""

from datetime import datetime


def tlv(tag: int, *contents: bytes) -> bytes:
    """One value: tag, length in its shortest form, content."""
    content = b"".join(contents)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def seq(*contents: bytes) -> bytes:
    return tlv(0x30, *contents)


def set_of(*contents: bytes) -> bytes:
    return tlv(0x31, *sorted(contents))


def integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(content: bytes) -> bytes:
    return tlv(0x04, content)


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(0x80 | arc & 0x7F)
        content += bytes(reversed(groups))
    return tlv(0x06, content)


def generalized_time(at: datetime) -> bytes:
    fraction = f".{at.microsecond:06d}".rstrip("0") if at.microsecond else ""
    return tlv(0x18, f"{at:%Y%m%d%H%M%S}{fraction}Z".encode())
