"""A folder of price lists in SkyPilot's format as sources (NECTO_SKYPILOT_CATALOGS), each called `skypilot:<cloud>`.

The folder is laid out as upstream publishes it, `<cloud>/vms.csv` or `v8/<cloud>/vms.csv`. The format has no place for
a date, and a file's own time is when somebody copied it: prices four years old would pass for today's. So the date is
asked for: a file `as-of.txt` holding `2026-05-20` beside the list or in a folder above it up to the given one, the
nearest first; else NECTO_SKYPILOT_AS_OF. A list without a date is no source, and says so. How a list is read and judged
stands in `skypilot.py`.
"""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from necto_pipelines.failures import Unavailable
from necto_pipelines.market.clouds.port import CloudSource
from necto_pipelines.market.clouds.skypilot import LABEL, SkyPilotCatalog
from necto_pipelines.model.answer import Listing
from necto_pipelines.model.clock import Clock
from necto_pipelines.model.offer import CloudPrice, SourceMode

LIST: Final = "vms.csv"
DATE_FILE: Final = "as-of.txt"
_VERSION: Final = re.compile(r"v(\d{1,4})")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class NoCatalog:
    """A list that is asked for and cannot be used; `prices` raises `Unavailable` with the reason."""

    mode = SourceMode.SNAPSHOT

    def __init__(self, name: str, reason: str) -> None:
        self.name, self._reason = name, reason

    def prices(self) -> Listing[CloudPrice]:
        """Always raises."""
        raise Unavailable(self._reason)


def open_skypilot_catalogs(folder: Path, as_of: date | None, clock: Clock) -> list[CloudSource]:
    """A source for each cloud that has a list below `folder`, by name; the lists themselves are not read yet.

    Where several versions of the format hold one cloud, the newest is read and the source names the others as set
    aside. Raises nothing: a folder without lists is one source, which then says so.
    """
    found: dict[str, list[Path]] = {}
    for file in sorted(_lists(folder), key=lambda file: -_version(file)):
        found.setdefault(file.parent.name, []).append(file)
    if not found:
        reason = f"{str(folder)!r} holds no price list; it needs <cloud>/{LIST} or v8/<cloud>/{LIST}"
        return [NoCatalog("skypilot", f"NECTO_SKYPILOT_CATALOGS: {reason}")]
    return [_source(folder, cloud, files, as_of, clock) for cloud, files in sorted(found.items())]


def _source(folder: Path, cloud: str, files: list[Path], as_of: date | None, clock: Clock) -> CloudSource:
    newest, *older = files
    place = str(newest.relative_to(folder))
    try:
        day = _date_of(newest, folder) or as_of
    except (OSError, ValueError) as error:
        return NoCatalog(f"{LABEL}{cloud}", f"{newest}: {error}")
    if day is None:
        note = newest.parent / DATE_FILE
        asked = f"write their day as YYYY-MM-DD into {note}, or set NECTO_SKYPILOT_AS_OF"
        return NoCatalog(f"{LABEL}{cloud}", f"{newest}: its prices have no date; {asked}")
    if day > clock.now().date():
        return NoCatalog(f"{LABEL}{cloud}", f"{newest}: the date of its prices, {day}, lies in the future")
    return SkyPilotCatalog(
        newest,
        cloud=cloud,
        as_of=day.isoformat(),
        source=f"SkyPilot-format catalogue {place}",
        clock=clock,
        aside=tuple((f"{LABEL}{cloud} {file.relative_to(folder)}", f"{place} is newer") for file in older),
    )


def _lists(folder: Path) -> Iterator[Path]:
    yield from (file for file in folder.glob(f"*/{LIST}") if not _VERSION.fullmatch(file.parent.name))
    yield from (file for file in folder.glob(f"v*/*/{LIST}") if _VERSION.fullmatch(file.parent.parent.name))


def _version(file: Path) -> int:
    match = _VERSION.fullmatch(file.parent.parent.name)
    return int(match.group(1)) if match else 0


def _date_of(file: Path, folder: Path) -> date | None:
    """The date that stands nearest to the file; ValueError when it is none."""
    for above in file.parents:
        note = above / DATE_FILE
        if note.is_file():
            text = note.read_text(encoding="utf-8", errors="replace").strip()
            if not _DATE.fullmatch(text):
                raise ValueError(f"{note} holds {text[:40]!r}; write one date as YYYY-MM-DD")
            return date.fromisoformat(text)
        if above == folder:
            return None
    return None
