"""Incidents of the log: each refusal to sign, written once as a file outside the database, for people to look into.

A refusal must be told of where the database has no say. That it was, and what came of it, is logged as well, as soon as
the log can be signed again (`upkeep.py`).
"""

import json
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from necto_pipelines.books.files import create_file
from necto_pipelines.failures import AuditBroken
from necto_pipelines.model.clock import Clock, rfc3339

BEHIND: Final = "behind"
"""the database is shorter than a signed checkpoint: a restored backup, or leaves that were cut off"""
BESIDE: Final = "beside"
"""the database holds another history than was signed"""
HEAD: Final = "head"
"""the log's head in the database does not fit its leaves"""
KEY: Final = "key"
"""a checkpoint is not signed by the log's key, or the key folder does not hold the key that the log speaks of"""


RAISED: Final = "incident.raised"
RESOLVED: Final = "incident.resolved"
SUBJECT: Final = "incident"
"""types of the leaves about an incident, and the kind of subject under which they are found"""


class SigningRefused(AuditBroken):
    """Nothing is signed over a history that contradicts a signed one. `kind` is one of the kinds of incidents.

    Sizes and roots (hex) are those of the database and of the checkpoint that it contradicts, where they are known.
    """

    def __init__(
        self,
        kind: str,
        what: str,
        *,
        size: int | None = None,
        root: str | None = None,
        signed_size: int | None = None,
        signed_root: str | None = None,
    ) -> None:
        super().__init__(what)
        self.kind = kind
        self.size, self.root = size, root
        self.signed_size, self.signed_root = signed_size, signed_root


@dataclass(frozen=True)
class Incident:
    """A refusal to sign: since when, of which kind, a sentence for people; sizes and roots as in `SigningRefused`."""

    at: str
    kind: str
    what: str
    size: int | None
    root: str | None
    signed_size: int | None
    signed_root: str | None

    @property
    def id(self) -> str:
        """What it is called: time and kind, as its file."""
        return f"{re.sub('[-:]', '', self.at)}-{self.kind}"


class Incidents:
    """The folder of incidents, one JSON file `<UTC time>-<kind>.json` each; files are added and never changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def all(self) -> list[Incident]:
        """All incidents, the oldest first; one whose file cannot be read is told of as such."""
        files = sorted(self._folder.glob("*.json")) if self._folder.is_dir() else []
        return [_read(file) for file in files]

    def record(self, broken: AuditBroken, clock: Clock, resolved: Collection[str] = ()) -> None:
        """Write an incident, unless one stands for the same checkpoint already that is not among the `resolved`."""
        refusal = broken if isinstance(broken, SigningRefused) else SigningRefused(HEAD, str(broken))
        now = clock.now()
        found = Incident(
            rfc3339(now),
            refusal.kind,
            str(refusal),
            refusal.size,
            refusal.root,
            refusal.signed_size,
            refusal.signed_root,
        )
        if any(_condition(known) == _condition(found) and known.id not in resolved for known in self.all()):
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another thread told of the same moment
            create_file(self._folder / f"{found.id}.json", (json.dumps(asdict(found), indent=2) + "\n").encode())


def of_type(kind: str, leaves: Iterable[tuple[int, bytes]]) -> bool:
    """Whether one of these leaves is of this type."""
    return any(json.loads(leaf).get("type") == kind for _, leaf in leaves)


def _condition(incident: Incident) -> tuple[str, int | None, str]:
    """What makes two incidents the same one: a database that is behind and goes on growing is beside one day."""
    kind = BESIDE if incident.kind == BEHIND else incident.kind
    return kind, incident.signed_size, incident.signed_root or incident.what


def _read(file: Path) -> Incident:
    try:
        return Incident(**json.loads(file.read_text()))
    except (ValueError, TypeError, OSError) as error:
        return Incident(file.stem, "unreadable", f"{file}: {error}", None, None, None, None)
