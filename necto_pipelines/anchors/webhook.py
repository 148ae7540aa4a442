"""Checkpoints sent to somebody who keeps them: the text of the signed note, as it stands, by POST."""

from necto_pipelines.anchors.port import Receipt
from necto_pipelines.anchors.posting import Poster
from necto_pipelines.model.anchor import AnchorKind


class WebhookAnchor:
    """Any address that takes text. Any 2xx answer says that the receiver has it; more is not proved."""

    kind = AnchorKind.WEBHOOK

    def __init__(self, poster: Poster, name: str) -> None:
        self.name = name
        self._poster = poster

    def place(self, note: str, size: int) -> Receipt:
        """As `Anchor.place`."""
        self._poster.post(note.encode(), "text/plain; charset=utf-8")
        return Receipt()
