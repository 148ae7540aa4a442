"""Reading DER (X.690), as much of it as a timestamp needs: one level at a time, every byte accounted for.

Nothing here recurses: the reader of a structure opens the elements it expects, so a hostile nesting is never followed.
What the elements of a timestamp mean stands in `timestamps.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OID: Final = 0x06
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
MAX_ELEMENTS: Final = 1024
"""elements one structure may hold"""
_MAX_LENGTH_BYTES: Final = 4


class NotDer(ValueError):
    """The bytes are not the DER that was expected; the message says where and why."""


@dataclass(frozen=True)
class Element:
    """One value: its identifier octet, its content, and both with the length between them, as they stood."""

    tag: int
    content: bytes
    whole: bytes


class Parts:
    """The elements of a structure, taken from the first to the last. `what` names it in messages."""

    def __init__(self, content: bytes, what: str) -> None:
        self.what = what
        self._elements = list(_elements(content, what))
        self._next = 0

    def take(self, tag: int) -> Element:
        """The next element, which must have this tag."""
        found = self.take_if(tag)
        if found is None:
            stands = f"tag {self._elements[self._next].tag:#04x}" if self.left else "the end"
            raise NotDer(f"{self.what}: tag {tag:#04x} was expected and {stands} found")
        return found

    def take_if(self, tag: int) -> Element | None:
        """The next element where it has this tag; else nothing is taken."""
        if not self.left or self._elements[self._next].tag != tag:
            return None
        self._next += 1
        return self._elements[self._next - 1]

    def inside(self, tag: int, what: str) -> "Parts":
        """The elements within the next element, which must have this tag."""
        return Parts(self.take(tag).content, what)

    def only(self, tag: int) -> Element:
        """The one element there is."""
        element = self.take(tag)
        self.end()
        return element

    def rest(self) -> list[Element]:
        """All elements that are left."""
        rest, self._next = self._elements[self._next :], len(self._elements)
        return rest

    @property
    def left(self) -> int:
        """How many elements are left."""
        return len(self._elements) - self._next

    def end(self) -> None:
        """Raise NotDer unless every element was taken."""
        if self.left:
            raise NotDer(f"{self.what}: {self.left} elements too many")


def integer(element: Element) -> int:
    """An INTEGER's value; its encoding must be the shortest."""
    content = element.content
    if not content or (len(content) > 1 and content[0] in (0x00, 0xFF) and content[0] >> 7 == content[1] >> 7):
        raise NotDer("a number is not in its shortest form")
    return int.from_bytes(content, signed=True)


def oid(element: Element) -> str:
    """An OBJECT IDENTIFIER in dotted form."""
    content = element.content
    if not content or content[-1] >= 0x80:
        raise NotDer("an object identifier breaks off")
    arcs, value = [], 0
    for octet in content:
        if value == 0 and octet == 0x80:
            raise NotDer("an object identifier is not in its shortest form")
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            arcs.append(value)
            value = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def encoded(tag: int, content: bytes) -> bytes:
    """The element with this tag and content."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def _elements(content: bytes, what: str) -> Iterator[Element]:
    start = number = 0
    while start < len(content):
        number += 1
        if number > MAX_ELEMENTS:
            raise NotDer(f"{what}: more than {MAX_ELEMENTS} elements")
        body, end = _bounds(content, start, what)
        yield Element(content[start], content[body:end], content[start:end])
        start = end


def _bounds(data: bytes, start: int, what: str) -> tuple[int, int]:
    """Where the content of the element at `start` begins and ends."""
    if data[start] & 0x1F == 0x1F:
        raise NotDer(f"{what}: a tag of several bytes is not expected here")
    if start + 2 > len(data):
        raise NotDer(f"{what}: it breaks off")
    length, body = data[start + 1], start + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= _MAX_LENGTH_BYTES:
            raise NotDer(f"{what}: a length of {count} bytes is not DER here")
        length, body = int.from_bytes(data[body : body + count]), body + count
        if body > len(data) or length < 0x80 or length >> (8 * (count - 1)) == 0:
            raise NotDer(f"{what}: a length breaks off or is not in its shortest form")
    if body + length > len(data):
        raise NotDer(f"{what}: it breaks off")
    return body, body + length
