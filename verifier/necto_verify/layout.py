"""Where things stand in an export, and how its files are read: C2SP tlog-tiles of height 8, and Necto's files beside.

Nothing in an export is believed: a file may be missing, huge, a folder or a link to nowhere.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from necto_verify.merkle import HASH_BYTES

TILE_WIDTH: Final = 256
MAX_ENTRY_BYTES: Final = 65_535
"""An entry's length is a uint16 in tlog-tiles."""
MAX_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)
_READING: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_CHECKPOINT: Final = re.compile(r"checkpoint\.(0|[1-9][0-9]{0,18})")
_TILE: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class Unreadable(ValueError):
    """A file of the export that is missing or cannot be read; the message says which and why."""


@dataclass(frozen=True)
class TileName:
    """Which tile: its level, or 'entries' for a bundle; its number; and how many hashes or entries it holds."""

    level: str
    number: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Its place in an export: numbers in groups of three digits, all but the last one marked by an x."""
        groups, rest = [f"{self.number % 1000:03}"], self.number // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03}")
            rest //= 1000
        part = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{self.level}/{'/'.join(groups)}{part}"

    @property
    def level_number(self) -> int:
        """The level of its hashes; a bundle's entries stand beside level 0."""
        return 0 if self.level == "entries" else int(self.level)

    @classmethod
    def at(cls, path: str) -> "TileName | None":
        """The tile with this path; None when the path is no tile's."""
        found = _TILE.fullmatch(path)
        if not found:
            return None
        number = int(found["number"].replace("x", "").replace("/", ""))
        name = cls(found["level"], number, int(found["width"] or TILE_WIDTH))
        return name if name.path == path else None


def tile_of(level: str, number: int, size: int) -> TileName | None:
    """The tile with this level and number in a log of `size` entries, as wide as it is there; None if there is none."""
    name = TileName(level, number)
    width = (size >> (8 * name.level_number)) - number * TILE_WIDTH
    return TileName(level, number, min(width, TILE_WIDTH)) if width > 0 else None


@dataclass(frozen=True)
class Export:
    """A folder with an export; reads whole files, never more than it must."""

    folder: Path

    def read(self, name: str, limit: int) -> bytes:
        """The file of this name; raises Unreadable when there is none, or it is longer than `limit` bytes."""
        return read_file(f"{self.folder}{os.sep}{name}", name, limit)

    def has(self, name: str) -> bool:
        """Whether anything of this name stands here."""
        return os.path.lexists(self.folder / name)

    def checkpoint_sizes(self) -> list[int]:
        """The sizes in the names of the files `checkpoint.SIZE`, smallest first."""
        return sorted(int(found[1]) for name in self._names("") if (found := _CHECKPOINT.fullmatch(name)))

    def names(self, folder: str, suffix: str) -> list[str]:
        """The names in a folder that end so, in order, without the suffix."""
        return sorted(name.removesuffix(suffix) for name in self._names(folder) if name.endswith(suffix))

    def tile_files(self) -> Iterator[str]:
        """The paths of all files below `tile`, in no particular order."""
        start = str(self.folder)
        for place, _, names in os.walk(self.folder / "tile"):
            below = place[len(start) :].replace(os.sep, "/").strip("/")
            for name in names:
                yield f"{below}/{name}"

    def _names(self, folder: str) -> list[str]:
        try:
            return [entry.name for entry in os.scandir(self.folder / folder)]
        except OSError:
            return []


def read_file(path: Path | str, name: str, limit: int) -> bytes:
    """A file of at most `limit` bytes; raises Unreadable, calling it `name`. Waits for no pipe."""
    try:
        handle = os.open(path, os.O_RDONLY | _READING)
    except FileNotFoundError as error:
        raise Unreadable(f"{name} is missing") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise Unreadable(f"{name!r} cannot be read: {error}") from error
    try:
        wanted = min(os.fstat(handle).st_size, limit) + 1
        data = os.read(handle, wanted)
        while len(data) < wanted and (more := os.read(handle, wanted - len(data))):
            data += more
    except OSError as error:
        raise Unreadable(f"{name} cannot be read: {error.strerror}") from error
    finally:
        os.close(handle)
    if len(data) > limit:
        raise Unreadable(f"{name} is longer than {limit} bytes, which nothing of its kind is")
    return data
