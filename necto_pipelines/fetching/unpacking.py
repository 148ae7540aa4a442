"""Bodies as they come, unpacked piece by piece, so that no answer takes more memory than it is allowed.

HTTP libraries unpack whatever they are sent, whole chunks at once and as often as the answer says it was packed: a
few kilobytes then fill the memory before anybody counts. So only gzip is asked for, once, and unpacked here.
"""

import zlib
from collections.abc import AsyncGenerator, Iterator
from typing import Final

import httpx

from necto_pipelines.failures import Unavailable

ACCEPTED: Final = "gzip"
PIECE_BYTES: Final = 256 * 1024
_GZIP_WINDOW: Final = 31


async def pieces_of(response: httpx.Response, *, max_bytes: int, where: str) -> AsyncGenerator[bytes, None]:
    """The unpacked body. `Unavailable` when it breaks off, is larger than `max_bytes`, or is packed another way."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("", "identity", ACCEPTED):
        raise Unavailable(f"{where}: the answer is packed as {packing[:40]!r}; only gzip was asked for")
    gunzip = _Gunzip() if packing == ACCEPTED else None
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101  # an AsyncClient gives no other
    size = 0
    try:
        async for chunk in stream:
            for piece in gunzip.feed(chunk) if gunzip else (chunk,):
                size += len(piece)
                if size > max_bytes:
                    raise Unavailable(f"{where}: the answer is larger than {max_bytes} bytes")
                if piece:
                    yield piece
    except httpx.HTTPError as error:
        raise Unavailable(f"{where}: {type(error).__name__}: {error}") from error
    except zlib.error as error:
        raise Unavailable(f"{where}: the answer is not the gzip it says it is ({error})") from error
    if gunzip and not gunzip.complete:
        raise Unavailable(f"{where}: the answer breaks off")


class _Gunzip:
    """One or several gzip members in a row (RFC 1952), unpacked at most `PIECE_BYTES` at a time."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._begun = False

    @property
    def complete(self) -> bool:
        """True at the end of a member, and before anything came: an answer without a body may still name a packing."""
        return self._member.eof or not self._begun

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """What these bytes add."""
        self._begun = self._begun or bool(packed)
        while True:
            if packed and self._member.eof:
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            piece = self._member.decompress(packed, PIECE_BYTES)
            if piece:
                yield piece
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            # A full piece may leave more inside although no packed bytes are left.
            if not packed and len(piece) < PIECE_BYTES:
                return
