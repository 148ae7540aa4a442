"""What of the log was put out of the operator's reach, as the books keep it.

Putting it there belongs to `procurement/anchoring.py`; a row here is named by its leaf `log.anchored`.
"""

from typing import Final

from sqlalchemy import Connection, select

from necto_pipelines.books.tables import audit_anchors

TIMED: Final = "rfc3161"
"""the kind of anchor that proves a time"""


def latest_anchored(connection: Connection) -> tuple[int, str] | None:
    """Size and root (base64) of the largest checkpoint whose time an authority has proved; None while there is none."""
    anchors = audit_anchors.c
    query = select(anchors.size, anchors.root).where(anchors.kind == TIMED).order_by(anchors.size.desc()).limit(1)
    found = connection.execute(query).one_or_none()
    return (found.size, found.root) if found else None
