"""Reading a JSON document too large to hold, member by member.

AWS publishes a price list per region as one object of hundreds of megabytes, of which we want a few thousandths. The
members of its objects are small: those are decoded whole, and what is not wanted is gone before the next comes.
"""

import codecs
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

MAX_VALUE_CHARS: Final = 16 * 1024 * 1024
"""a member larger than this is not what this reader is for, and may well be a broken document"""
UNDECIDED_CHARS: Final = 2
"""a number may go on in the next chunk: `1` may be `12`, `1.` may be `1.5`, and `1e-` may be `1e-7`"""
_BLANK: Final = " \t\r\n"


class JsonStream:
    """A JSON document of UTF-8 chunks, read forwards once. Whatever is no JSON raises ValueError.

    stream = JsonStream(chunks)
    for name in stream.members():
        if name == "products": ... = stream.value()
        else: stream.skip()
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._decoder = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)
        self._text = codecs.getincrementaldecoder("utf-8")()
        self._held = ""
        self._at = 0
        self._ended = False

    def members(self) -> Iterator[str]:
        """The names of the object that begins here; the caller takes the value of each before asking for the next."""
        self._expect("{")
        if self._next() == "}":
            self._at += 1
            return
        while True:
            name = self.value()
            if not isinstance(name, str):
                raise ValueError(f"a member's name is needed, not {name!r}")  # noqa: TRY004 (a fault of the document)
            self._expect(":")
            yield name
            if self._next() == "}":
                self._at += 1
                return
            self._expect(",")

    def value(self) -> Any:
        """The value that begins here, decoded whole; numbers with a point become Decimal."""
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._held, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            except RecursionError as error:
                raise ValueError("nested too deeply") from error
            if len(self._held) - end <= UNDECIDED_CHARS and self._more():
                continue
            self._at = end
            return value

    def skip(self) -> None:
        """Pass over the value that begins here; the members of an object one by one, so that it may be of any size."""
        if self._next() == "{":
            for _ in self.members():
                self.skip()
        else:
            self.value()

    def _next(self) -> str:
        """The next character that is not blank, left where it is."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in _BLANK:
                    return self._held[self._at]
                self._at += 1
            if not self._more():
                raise ValueError("the document ends too early")

    def _expect(self, character: str) -> None:
        if (found := self._next()) != character:
            raise ValueError(f"{character!r} is needed, not {found!r}")
        self._at += 1

    def _more(self) -> bool:
        """Hold another chunk, and let go of what has been read; False at the end."""
        if self._ended:
            return False
        chunk = next(self._chunks, None)
        self._ended = chunk is None
        self._held = self._held[self._at :] + self._text.decode(chunk or b"", final=self._ended)
        self._at = 0
        if len(self._held) > MAX_VALUE_CHARS:
            raise ValueError(f"a value of more than {MAX_VALUE_CHARS} characters")
        return True


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON number")
